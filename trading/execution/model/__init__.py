"""The cost model: Almgren-Chriss 2000, its baselines, impact laws and calibration."""

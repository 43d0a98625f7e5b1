"""Tests of the backtests, of research and of validation: Given-When-Then, one promise each."""

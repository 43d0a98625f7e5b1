"""The paper broker: orders filled from a market's bars, kept in a file, wrong on demand. Light."""

from trading.execution.brokers.paper.config import PaperConfig
from trading.execution.brokers.paper.paper_broker import PaperBroker
from trading.execution.brokers.paper.paper_executor import OrderResult, PaperExecutor
from trading.execution.brokers.paper.paper_store import PaperStore

__all__ = ["OrderResult", "PaperBroker", "PaperConfig", "PaperExecutor", "PaperStore"]

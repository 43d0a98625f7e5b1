"""A backtest's result for people: Markdown, a web page, a picture; and saved, compared, run again."""

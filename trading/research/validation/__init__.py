"""The validation of what a search has found: tests, each a number against a threshold, and the verdict.

A test is a function of a `Subject` that answers with a `TestOutcome`; `battery.TESTS` names them all in the
order in which they are made, `thresholds.Thresholds` says what each has to reach and why, `verdict` what
follows. `in_use` compares strategies that were validated with what was promised of them.
"""

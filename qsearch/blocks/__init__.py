"""Regexes -> blocks -> schedule."""

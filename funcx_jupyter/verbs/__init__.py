"""The verbs of `%funcx`: `table` has them all, `lines` reads what was typed, the rest do it."""

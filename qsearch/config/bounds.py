"""How large a configuration may be: generous for people, small enough that a
mistake ends in a message and not in a computer without memory.

Messages name the bound and what may be done instead.
"""

from __future__ import annotations

FILE_CHARACTERS = 3_000_000
"""Of a file. A resolved configuration is written with a value in each line, and must load again."""
TEXT_CHARACTERS = 100_000
"""Of one text, such as a pattern of layer names or a quantizer with a list of scales."""
VALUES = 100_000
"""Keys and values of a file, what aliases and merge keys repeat counted each time."""
ENTRIES = 10_000
"""Patterns and layers of a list, and quantizers of a group: each is held against every layer."""
DEPTH = 40
"""Lists and sections inside each other."""
WHOLE = 2**53
"""Whole numbers: what a float holds exactly, and JSON keeps."""
COUNT = 1_000_000_000
"""Epochs, trials, samples and the like."""
SIDE = 1_000_000
"""Filters of a layer, classes, pixels: what becomes the side of an array."""
TABLE = 10_000
"""Classes and thresholds of a metric, which keeps a table of their squares."""
SEED = 2**32 - 1
"""NumPy takes no greater one."""
LEARNING_RATE = 1e4
"""Of trainings that nobody waits for: thousands of times what any optimizer starts from."""
FACTOR = 1e9
"""Factors and percentages of a goal."""
PICOJOULES = 1e9
"""Of one operation or one access: a millijoule."""
COEFFICIENTS = 8
"""Of a polynomial; QTools' have up to four."""
BITS = 32
"""Of a quantizer that a search may choose: more than float32 can tell apart saves nothing."""
PROBLEMS = 50
"""Told of one file."""
NAME_CHARACTERS = 100
"""The length of a layer's name that patterns are measured by."""
PATTERN_WAYS = 100_000_000
"""In which a pattern may try to match a name of that length; some seconds."""
PIPE_SECONDS = 10.0
"""Without anything to read from a pipe."""

"""Parameter studies: one call of a function for each point of a grid, and a table of what came out.

::

    points     what the parameters are               pure
    calls      points as calls of a function         pure
    outcomes   what is known of each point           pure
    rows       points and outcomes as a tidy table   pure
    progress   how far it is, in words               pure
    grid       `Grid`: a map, watched
"""

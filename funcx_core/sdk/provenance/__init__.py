"""Where a result comes from: code, inputs, environment, place and time of a task, as facts that can be kept beside it.

::

    record     the facts, and what is not known of them   pure
    gather     asks the service for them
    place      the machine and the git folder of whoever asks
    pickles    inputs of a cell by name, without opening them   pure
    text       the facts in words                         pure
    crate      the facts as an RO-Crate                    pure
"""

"""Endpoints and tasks to look at and click on: for each widget a pure model, its text and HTML forms, and a thin view of it.

::

    service      asks the web service, one request a question
    poller       asks again and again on the kernel's loop, in a thread
    cadence      when to ask next            pure
    *_model      what is known and chosen    pure
    *_forms      the model as text and HTML  pure
    *_view       the model as core ipywidgets
    monitor, picker, task_view               the three things users make

Importing it needs no ipywidgets; without them, and in a terminal, the text forms are shown.
"""

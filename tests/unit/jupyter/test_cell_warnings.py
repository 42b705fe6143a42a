"""Warnings of cells name them as tracebacks do."""

from __future__ import annotations


def test_warnings_name_the_cell_that_they_are_of(run):
    run("import warnings\ndef careful():\n    warnings.warn('mind this')")
    ran = run("%%funcx -q\nimport logging\n\nwarnings.warn('look')\ncareful()")
    told = ran.out + ran.err
    assert "Cell In[2], line 4: UserWarning: look\n  warnings.warn('look')\n" in told
    assert "Cell In[1], line 3: UserWarning: mind this\n  warnings.warn('mind this')\n" in told
    assert "ipython-input" not in told


def test_a_format_of_the_cells_own_holds_as_long_as_the_cell(run):
    own = "import warnings\nwarnings.formatwarning = lambda *of, **more: 'in my own words'\nwarnings.warn('look')"
    ran = run(f"%%funcx -q\n{own}")
    assert "in my own words" in ran.out + ran.err
    ran = run("%%funcx -q\nimport warnings\nwarnings.warn('look')")
    assert "Cell In[2], line 3: UserWarning: look" in ran.out + ran.err

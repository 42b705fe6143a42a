from __future__ import annotations

import pytest

from funcx_core.protocol.resources import Resources
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.options.cell import ALL, DETACH, CellOptions
from funcx_jupyter.options.parser import given, parse_cell_line


def test_nothing_said_means_the_defaults():
    assert parse_cell_line("") == CellOptions()


def test_every_option():
    assert parse_cell_line("theta -i a,b -x c -o x,y -t 60s --retries 2 --no-stream -q -v --explain") == CellOptions(
        endpoint="theta",
        inputs=("a", "b"),
        exclude=("c",),
        outputs=("x", "y"),
        walltime=60.0,
        retries=2,
        stream=False,
        quiet=True,
        verbose=True,
        explain=True,
    )


def test_a_cell_may_be_urgent_and_large():
    found = parse_cell_line("theta --priority -7 --resource cpus=4,mem=0.5,gpu=1")
    assert (found.priority, found.resources) == (-7, Resources(cores=4, memory_gb=0.5, accelerators=1))


def test_a_cell_may_ask_for_a_container_and_for_packages():
    found = parse_cell_line(
        f"theta --container {'1' * 32} --requires 'numpy >= 2' --requires tqdm --on-interrupt detach"
    )
    assert found.container == "11111111-1111-1111-1111-111111111111"
    assert (found.requires, found.on_interrupt) == (("numpy>=2", "tqdm"), DETACH)


def test_what_a_line_gives_holds_packages_only_if_it_names_them():
    assert given("--requires tqdm --requires numpy") == {"requires": ("tqdm", "numpy")}
    assert given("theta") == {"endpoint": "theta"}


def test_a_cell_may_start_after_others():
    assert parse_cell_line("theta --after sim,3f2a,sim -a").after == ("sim", "3f2a")


def test_a_cell_may_be_a_script():
    assert parse_cell_line("theta --shell -i case") == CellOptions(endpoint="theta", is_shell=True, inputs=("case",))


def test_inputs_may_be_automatic_or_none():
    assert parse_cell_line("-i auto").inputs is None
    assert parse_cell_line("-i none").inputs == ()


def test_a_star_means_all_outputs():
    assert parse_cell_line("-o '*'").outputs == (ALL,)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--retires 3", "`--retires` is not an option of %%funcx. Did you mean `--retries`? See `%%funcx?`."),
        ("--bogus", "`--bogus` is not an option of %%funcx. See `%%funcx?`."),
        ("theta midway", "`midway` is one argument too many: %%funcx takes one endpoint. See `%%funcx?`."),
        ("-t soon", "Argument -t/--timeout: 'soon' is not a number of seconds. See `%%funcx?`."),
        ("-t -1", "Argument -t/--timeout: the time limit must be more than 0 seconds. See `%%funcx?`."),
        ("-o 3x", "Argument -o/--output: '3x' is not the name of a variable. See `%%funcx?`."),
        ("-i 3x", "Argument -i/--input: '3x' is not the name of a variable. See `%%funcx?`."),
        ("--retries 11", "Argument --retries: '11' is not a number from 0 to 10. See `%%funcx?`."),
        ("--priority 101", "Argument --priority: 'priority' is 101; it must be -100 to 100. See `%%funcx?`."),
        (
            "--resource cpus",
            "Argument --resource: '' is not a number; write it such as cpus=4,mem=8,gpu=1. See `%%funcx?`.",
        ),
        (
            "--container box",
            "Argument --container: 'box' is not the id of a container, which `register_container` of a FuncXClient returns. See `%%funcx?`.",
        ),
        (
            "--requires numpy,pandas",
            "Argument --requires: 'numpy,pandas' is not a requirement such as 'numpy>=2'; for several packages give the option several times. See `%%funcx?`.",
        ),
        (
            "--requires 'numpy @ https://host/numpy.whl'",
            "Argument --requires: 'numpy @ https://host/numpy.whl' names a place to install from; name the package and its version. See `%%funcx?`.",
        ),
        ("'theta", "No closing quotation in `%%funcx 'theta`. See `%%funcx?`."),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(line, message):
    with pytest.raises(MagicArgumentError) as caught:
        parse_cell_line(line)
    assert str(caught.value) == message
    assert caught.value._render_traceback_() == [f"MagicArgumentError: {message}"]

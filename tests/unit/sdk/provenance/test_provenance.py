import hashlib
import json
import pickle
import subprocess

import msgspec
import pytest
from rocrate.rocrate import ROCrate

from funcx_core.cells.spec import LAST_VALUE, CellOutcome, KeptFacts
from funcx_core.errors import ServiceUnavailable, UsageError
from funcx_core.ids import new_task_id
from funcx_core.protocol.codec import encode
from funcx_core.protocol.environment import Environment
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.provenance.gather import KnownHere, gather
from funcx_core.sdk.provenance.pickles import cut, pieces
from funcx_core.sdk.provenance.place import author_here

TASK = new_task_id()
NODE = Environment(
    python_version="3.12.1", platform="Linux-6.1-x86_64", processor="EPYC", packages={"numpy": "2.1", "scipy": "1.14"}
)
CELL = CellOutcome(
    sizes=[3], values=b"abc", value=b"last", hostname="node7", python_version="3.12.1", platform="Linux",
    packages={"numpy": "2.1"},
)  # fmt: skip


class Service:
    """Answers as the client does."""

    funcx_service_address = "http://127.0.0.1:5000/v2"

    def __init__(self, value=b"", *, function="simulate", state="success", environments=(NODE,), **more):
        self.value = value
        self.environments = list(environments)
        self.function = {"function_name": function, "owner": "ada", "owned": True, "content_hash": "sha256:ab"}
        self.task = {
            "task_id": TASK, "status": state, "task_group_id": "g", "function_id": "f", "endpoint_id": "e", "attempt": 1,
            "times": {"received": 1_700_000_000_000_000_000, "started": 1_700_000_001_000_000_000, "ended": 0},
            **({"result": "pb\n42"} if state == "success" else {}), **more,
        }  # fmt: skip

    def raw_task(self, task_id):
        assert task_id == TASK
        return self.task

    def opened(self, task):
        return self.value

    def get_function(self, function_id):
        return self.function

    def get_endpoints(self):
        return [{"uuid": "e", "name": "theta", "version": "0.1.0"}]

    def get_endpoint_environment(self, endpoint_uuid):
        return self.environments


def simulate(x):
    return x + 1


def test_of_a_function_everything_the_service_knows_is_told_and_the_rest_is_named():
    found = gather(Service(), TASK)
    assert (found.state, found.where.endpoint, found.where.python_version) == ("success", "theta", "3.12.1")
    assert (found.times.received, found.times.ended) == ("2023-11-14T22:13:20+00:00", None)
    assert found.author.user == "ada"
    assert [(piece.name, piece.size) for piece in found.results] == [("result", 5)]
    assert found.results[0].sha256 == hashlib.sha256(b"pb\n42").hexdigest()
    assert found.inputs is None
    assert [each.partition(":")[0] for each in found.unknown] == [
        "the source of the function",
        "the inputs",
        "the node, and the packages that were used",
    ]
    assert "the inputs: the service keeps" in repr(found)


def test_the_function_may_be_named_for_its_source():
    found = gather(Service(), FuncXFuture(TASK), function=simulate)
    assert found.code.source == "def simulate(x):\n    return x + 1\n"
    assert found.code.sha256 == hashlib.sha256(found.code.source.encode()).hexdigest()


def test_of_a_cell_its_worker_has_told_more():
    known = KnownHere(source="y = x + 1", title="y = x + 1", inputs=pieces(["x"], pickle.dumps(1)), outputs=("y",))
    found = gather(Service(encode(CELL), function="funcx_cell"), TASK, known=known)
    assert found.unknown == []
    assert (found.code.kind, found.code.source, found.where.hostname) == ("cell", "y = x + 1", "node7")
    assert found.where.packages == {"numpy": "2.1"}
    assert [(piece.name, piece.size) for piece in found.inputs] == [("x", len(pickle.dumps(1)))]
    assert [(piece.name, piece.sha256) for piece in found.results] == [
        ("y", hashlib.sha256(b"abc").hexdigest()),
        ("last expression", hashlib.sha256(b"last").hexdigest()),
    ]


def test_what_stayed_on_the_endpoint_is_among_the_results():
    kept = [KeptFacts(name="model", size=80), KeptFacts(name=LAST_VALUE, size=90)]
    outcome = msgspec.structs.replace(CELL, kept=kept, value=None)
    known = KnownHere(source="y = x + 1", title="y = x + 1", inputs=[], outputs=("model", "y"))
    found = gather(Service(encode(outcome), function="funcx_cell"), TASK, known=known)
    assert [(piece.name, piece.size) for piece in found.results] == [
        ("y", 3),
        ("model (stayed on the endpoint)", 80),
        ("last expression (stayed on the endpoint)", 90),
    ]
    assert "model (stayed on the endpoint) (80 bytes)" in str(found)


def test_a_cell_of_another_kernel_is_told_as_far_as_it_goes():
    found = gather(Service(encode(CELL), function="funcx_cell"), TASK)
    assert [piece.name for piece in found.results] == ["output 1", "last expression"]
    assert "the text of the cell: it was not sent by this kernel." in found.unknown


def test_a_failure_has_its_reason_and_no_results():
    error = {"code": "remote_task_error", "type_name": "ValueError", "message": "no"}
    found = gather(Service(state="failed", error=error), TASK)
    assert (found.results, found.error) == ([], error)
    assert "ValueError no" in repr(found)


def test_what_the_service_does_not_answer_is_not_known():
    class Silent(Service):
        def get_endpoints(self):
            raise ServiceUnavailable("Cannot reach it.")

    found = gather(Silent(environments=()), TASK)
    assert "the endpoint's name: Cannot reach it." in found.unknown
    assert any("has reported none" in each for each in found.unknown)
    assert found.where.endpoint_id == "e"


def test_what_is_no_task_is_refused():
    with pytest.raises(UsageError, match="int is not a submitted task"):
        gather(Service(), 42)


def test_inputs_are_told_apart_without_opening_them():
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("opened",)

    first, second = pickle.dumps(list(range(1000)), 5), pickle.dumps(Bomb(), 5)
    found = pieces(["a", "b"], first + second)
    assert [(piece.name, piece.size) for piece in found] == [("a", len(first)), ("b", len(second))]
    assert found == cut(["a", "b"], [len(first), len(second)], first + second)


def test_the_folder_is_told_with_its_commit_and_without_passwords(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    assert author_here(tmp_path, service="").commit == ""
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    git("remote", "add", "origin", "https://ada:secret@example.org/study.git")
    found = author_here(tmp_path, service="")
    assert (len(found.commit), found.is_modified, found.remote) == (40, False, "https://example.org/study.git")
    (tmp_path / "a").write_text("2")
    assert author_here(tmp_path, service="").is_modified


def a_crate(folder, **options):
    known = KnownHere(source="y = x + 1", title="y = x + 1", inputs=pieces(["x"], pickle.dumps(1)), outputs=("y",))
    record = gather(Service(encode(CELL), function="funcx_cell"), TASK, known=known)
    return record, record.to_ro_crate(folder, **options)


def test_the_json_is_read_back_as_it_was(tmp_path):
    record, _ = a_crate(tmp_path)
    path = record.save(tmp_path / "record.json")
    assert msgspec.json.decode(path.read_bytes(), type=type(record)) == record
    assert record.to_dict()["format"] == "funcx-provenance/1"


def test_the_crate_is_read_by_others(tmp_path):
    record, metadata = a_crate(tmp_path / "crate", license="https://spdx.org/licenses/MIT")
    crate = ROCrate(tmp_path / "crate")
    assert crate.metadata["conformsTo"] == "https://w3id.org/ro/crate/1.1"
    assert {entity.id for entity in crate.data_entities} == {"provenance.json", "cell.py", "packages.txt"}
    (action,) = (entity for entity in crate.contextual_entities if entity.type == "CreateAction")
    assert action["startTime"] == record.times.started
    assert {entity.id for entity in action["instrument"]} == {"cell.py", "#endpoint", "#funcx"}
    assert [entity["name"] for entity in action["object"]] == ["x"]
    assert [entity["name"] for entity in action["result"]] == ["y", "last expression"]
    assert action["agent"].type == "Person"
    assert crate.dereference("#endpoint")["softwareRequirements"][0]["softwareVersion"] == "2.1"
    crate.write(tmp_path / "again")
    assert (tmp_path / "again" / "cell.py").read_text() == "y = x + 1"
    assert metadata.name == "ro-crate-metadata.json"


def test_the_image_of_a_container_is_told_or_named_as_unknown(tmp_path):
    boxed = msgspec.structs.replace(CELL, origin={"container": "1111"}, image="ann/tools@sha256:f00d")
    record = gather(Service(encode(boxed), function="funcx_cell"), TASK)
    assert "container  1111 · ann/tools@sha256:f00d" in repr(record)
    assert not any("image" in each for each in record.unknown)
    record.to_ro_crate(tmp_path)
    crate = ROCrate(tmp_path)
    image = crate.dereference("#container")
    assert (image["identifier"], image["sha256"]) == ("ann/tools@sha256:f00d", "f00d")
    assert "#container" in {one.id for one in crate.dereference("#endpoint")["softwareRequirements"]}
    unnamed = gather(Service(encode(msgspec.structs.replace(boxed, image="")), function="funcx_cell"), TASK)
    assert any(each.startswith("which image the container was made from") for each in unnamed.unknown)


def test_the_crate_keeps_the_rules_of_its_specification(tmp_path):
    _, metadata = a_crate(tmp_path)
    graph = {entity["@id"]: entity for entity in json.loads(metadata.read_text())["@graph"]}
    assert len(graph) == len(json.loads(metadata.read_text())["@graph"])  # every id once
    assert {"name", "description", "datePublished", "license"} <= graph["./"].keys()
    named = {match for entity in graph.values() for value in entity.values() for match in references(value)}
    outside = {"https://w3id.org/ro/crate/1.1", "http://schema.org/CompletedActionStatus"}
    assert named - graph.keys() == outside
    for part in graph["./"]["hasPart"]:
        entity = graph[part["@id"]]
        assert "File" in entity["@type"]
        assert int(entity["contentSize"]) == (metadata.parent / entity["@id"]).stat().st_size


def references(value):
    if isinstance(value, list):
        return [each for one in value for each in references(one)]
    return [value["@id"]] if isinstance(value, dict) and value.keys() == {"@id"} else []

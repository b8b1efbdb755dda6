"""Witnesses: they are asked for cosignatures, believed only where a key proves it, and missed when they are missing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import pytest

from replay.proof.checkpoints import Checkpoint, read_checkpoint
from replay.proof.notes import SignatureKind, SigningKey
from replay.proof.policies import Policy, PolicyError
from replay.proof.tiles import Edge, TileFolder
from replay.proof.tree import leaf_hash
from replay.proof.witnesses import CLOCK_SECONDS_MAX, LedgerWitnesses, WitnessError, Witnesses
from tests.support.patience import PATIENCE_SECONDS
from tests.support.replay.proofs import NOW, checkpoint_of, log_keys, tree_of, witness_key
from tests.support.replay.witness_server import Answer, Behaviour, Witness, serving_witness

ED25519, ML_DSA = log_keys()
SIZES = (5, 300, 700)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileFolder:
    folder = TileFolder(tmp_path_factory.mktemp("tiles"))
    edge = Edge()
    for size in SIZES:
        full = edge.append(b"".join(leaf_hash(b"%d" % number) for number in range(edge.size, size)))
        folder.write([*full, *edge.partial()])
    return folder


def checkpoint(size: int) -> Checkpoint:
    note = checkpoint_of(tree_of(size), size, ED25519, ML_DSA, extensions=("hours 3 12 aa bb",))
    return read_checkpoint(note.encode())


@pytest.fixture
def served() -> Iterator[Callable[[str], Witness]]:
    with ExitStack() as stack:

        def serve(name: str) -> Witness:
            kind = SignatureKind.ML_DSA_44_COSIGNATURE if name.startswith("m") else SignatureKind.ED25519_COSIGNATURE
            keys = [ED25519.verifier_key, ML_DSA.verifier_key]
            return stack.enter_context(serving_witness(Witness(witness_key(name, kind), keys, lambda: NOW)))

        yield serve


def policy_of(*witnesses: Witness, rule: str = "all") -> Policy:
    lines = [f"log {ED25519.verifier_key}", f"log {ML_DSA.verifier_key}"]
    lines += [f"witness {each.key.name} {each.key.verifier_key} {each.url}" for each in witnesses]
    lines.append(f"group g {rule} {' '.join(each.key.name for each in witnesses)}")
    return Policy.parse("\n".join([*lines, "quorum g", ""]).encode())


def client(policy: Policy, seconds_max: float = PATIENCE_SECONDS) -> Witnesses:
    return Witnesses(policy, seconds_max=seconds_max, clock=lambda: NOW)


def test_witnesses_cosign_each_checkpoint_that_continues_the_last(
    served: Callable[[str], Witness], tiles: TileFolder
) -> None:
    witnesses = served("w1"), served("m2")
    policy = policy_of(*witnesses)
    asking = client(policy)
    for size in SIZES:
        cosigned = asking.cosign(checkpoint(size), tiles)
        assert {each.key for each in policy.verify(cosigned.encode()).witnesses} == {
            each.key.verifier_key for each in witnesses
        }
        assert [each.name for each in cosigned.note.signatures[2:]] == ["w1", "m2"]
        assert [each.size for each in witnesses] == [size, size]
    assert [len(each.requests) for each in witnesses] == [3, 3]
    again = asking.cosign(checkpoint(700), tiles)
    assert len(again.note.signatures) == 4


def test_a_client_that_does_not_know_the_size_of_a_witness_learns_it(
    served: Callable[[str], Witness], tiles: TileFolder
) -> None:
    witness = served("w1")
    for size in SIZES:
        client(policy_of(witness)).cosign(checkpoint(size), tiles)
    olds = [each.partition(b"\n")[0].decode() for each in witness.requests]
    assert olds == ["old 0", "old 0", "old 5", "old 0", "old 300"]


def test_a_witness_that_lost_its_memory_still_counts_and_is_noted(
    served: Callable[[str], Witness], tiles: TileFolder, caplog: pytest.LogCaptureFixture
) -> None:
    witness = served("w1")
    asking = client(policy_of(witness))
    asking.cosign(checkpoint(300), tiles)
    witness.size = 0
    assert len(asking.cosign(checkpoint(700), tiles).note.signatures) == 3
    assert "cosigned 300 events and now knows of 0: it has lost its memory" in caplog.text


def test_a_log_that_was_rolled_back_is_not_cosigned(served: Callable[[str], Witness], tiles: TileFolder) -> None:
    witness = served("w1")
    client(policy_of(witness)).cosign(checkpoint(700), tiles)
    with pytest.raises(WitnessError, match="says it has cosigned 700 events of this log, which has 300 here"):
        client(policy_of(witness)).cosign(checkpoint(300), tiles)


def test_another_history_is_not_cosigned(served: Callable[[str], Witness], tmp_path: Path) -> None:
    witness = served("w1")
    client(policy_of(witness)).cosign(checkpoint(5), TileFolder(tmp_path))
    forked = TileFolder(tmp_path / "forked")
    edge = Edge()
    full = edge.append(b"".join(leaf_hash(b"forked %d" % number) for number in range(300)))
    forked.write([*full, *edge.partial()])
    note = checkpoint_of(forked.hashes(300), 300, ED25519)
    with pytest.raises(WitnessError, match="w1 answered 422"):
        client(policy_of(witness)).cosign(read_checkpoint(note.encode()), forked)


def cosignature(key: SigningKey, body: bytes, at: int = NOW) -> bytes:
    """Return what a witness with this key answers, without looking at anything."""
    return key.sign(body.partition(b"\n\n")[2].partition(b"\n\n")[0].decode() + "\n", at).line.encode()


def answering(status: int, body: bytes, content_type: str = "text/plain") -> Behaviour:
    return lambda _witness, _body: (status, content_type, body)


def other_text(witness: Witness, body: bytes) -> Answer:
    text = checkpoint(700).note.text.replace("hours 3", "hours 4")
    return 200, "text/plain", witness.key.sign(text, NOW).line.encode()


def hang(witness: Witness, _body: bytes) -> Answer:
    witness.released.wait(PATIENCE_SECONDS)
    return 200, "text/plain", b""


def ever_other_sizes(witness: Witness, _body: bytes) -> Answer:
    return 409, "text/x.tlog.size", f"{len(witness.requests)}\n".encode()


STRANGER = witness_key("stranger")

WRONG: dict[str, tuple[Behaviour, str]] = {
    "nothing": (answering(200, b""), "answered with no valid cosignature"),
    "garbage": (answering(200, b"\xff\0" * 50), "answered with no valid cosignature"),
    "a page": (answering(200, b"<html>\n\n</html>\n", "text/html"), "answered with no valid cosignature"),
    "no HTTP": (answering(0, b"\0\1\2\3\n\n"), "could not be asked"),
    "half an answer": (answering(0, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf"), "ended its answer early"),
    "too much": (answering(200, b"x" * 200_000), "answered more than 100,000 bytes"),
    "a stranger's": (
        lambda _witness, body: (200, "text/plain", cosignature(STRANGER, body)),
        "answered without a cosignature by the key in the policy",
    ),
    "another text": (other_text, "answered with no valid cosignature: the signature of w1 is wrong"),
    "right and wrong": (
        lambda witness, body: (200, "text/plain", cosignature(witness.key, body) + other_text(witness, body)[2]),
        "answered with no valid cosignature: the signature of w1 is wrong",
    ),
    "text before it": (
        lambda witness, body: (200, "text/plain", b"x\n\n" + cosignature(witness.key, body)),
        "answered with no valid cosignature",
    ),
    "the future": (
        lambda witness, body: (200, "text/plain", cosignature(witness.key, body, NOW + CLOCK_SECONDS_MAX + 60)),
        "cosigned with a time that is 360 s ahead of the clock here",
    ),
    "an error": (answering(500, b"out of\x1b[31m\norder"), r"answered 500 \(out of \[31m order\)"),
    "unknown log": (answering(404, b""), "answered 404"),
    "redirection": (answering(307, b""), "answered 307"),
    "no size": (answering(409, b"x\n", "text/x.tlog.size"), "answered 409 without the size that it knows"),
    "size of another type": (answering(409, b"5\n"), "answered 409 without the size that it knows"),
    "size with zeros": (answering(409, b"05\n", "text/x.tlog.size"), "answered 409 without the size that it knows"),
    "size too large": (answering(409, b"9223372036854775808\n", "text/x.tlog.size"), "answered 409 without the size"),
    "endless size": (answering(409, b"9" * 90_000 + b"\n", "text/x.tlog.size"), "answered 409 without the size"),
    "the same size": (answering(409, b"0\n", "text/x.tlog.size"), "refused the size 0 and asked for the same"),
    "a larger size": (answering(409, b"701\n", "text/x.tlog.size"), "says it has cosigned 701 events of this log"),
    "other sizes": (ever_other_sizes, "named another size at every request"),
    "hanging": (hang, "did not answer in time"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_witness_answers_wrongly_is_ignored_and_the_quorum_decides(
    name: str, served: Callable[[str], Witness], tiles: TileFolder
) -> None:
    behaviour, problem = WRONG[name]
    wrong, right = served("w1"), served("w2")
    wrong.behaviour = behaviour
    seconds = 4 if name == "hanging" else PATIENCE_SECONDS
    asking = client(policy_of(wrong, right, rule="any"), seconds)
    cosigned = asking.cosign(checkpoint(700), tiles)
    assert [each.name for each in cosigned.note.signatures[2:]] == ["w2"]
    assert len(wrong.requests) <= 3
    with pytest.raises(WitnessError, match=f"the checkpoint of 700 events is not published: .*w1 {problem}"):
        client(policy_of(wrong, right), seconds).cosign(checkpoint(700), tiles)


def test_only_the_cosignature_of_the_key_in_the_policy_is_taken(
    served: Callable[[str], Witness], tiles: TileFolder
) -> None:
    witness = served("w1")
    witness.behaviour = lambda witness, body: (
        200,
        "text/plain",
        cosignature(STRANGER, body) + 2 * cosignature(witness.key, body) + cosignature(STRANGER, body),
    )
    cosigned = client(policy_of(witness)).cosign(checkpoint(700), tiles)
    assert [each.name for each in cosigned.note.signatures[2:]] == ["w1"]


def test_a_server_that_sends_one_byte_at_a_time_is_cut_off(tiles: TileFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        key = witness_key("w1")
        line = f"witness w1 {key.verifier_key} http://127.0.0.1:{server.getsockname()[1]}\nquorum w1\n"
        asking = client(Policy.parse(line.encode()), 0.5)

        def send() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                with suppress(OSError):
                    while True:
                        connection.sendall(b"x")
                        time.sleep(0.05)

        thread = Thread(target=send)
        thread.start()
        with pytest.raises(WitnessError, match="w1 did not answer in time"):
            asking.cosign(checkpoint(700), tiles)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_a_witness_that_is_not_there_is_named(tiles: TileFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = f"witness w1 {witness_key('w1').verifier_key} http://127.0.0.1:{port}\nquorum w1\n"
    with pytest.raises(WitnessError, match=r"w1 could not be asked: .*[Rr]efused"):
        client(Policy.parse(line.encode())).cosign(checkpoint(700), tiles)


def test_a_policy_that_does_not_know_this_log_publishes_nothing(
    served: Callable[[str], Witness], tiles: TileFolder
) -> None:
    witness = served("w1")
    other = SigningKey("another.example.org", SignatureKind.ED25519, b"\x55" * 32).verifier_key
    content = f"log {other}\nwitness w1 {witness.key.verifier_key} {witness.url}\nquorum w1\n"
    with pytest.raises(WitnessError, match=r"the policy knows only another\.example\.org"):
        client(Policy.parse(content.encode())).cosign(checkpoint(700), tiles)


def test_a_policy_without_a_quorum_asks_those_that_have_an_address(
    served: Callable[[str], Witness], tiles: TileFolder
) -> None:
    witness = served("w1")
    silent = witness_key("w2").verifier_key
    content = f"witness w1 {witness.key.verifier_key} {witness.url}\nwitness w2 {silent}\nquorum none\n"
    asking = client(Policy.parse(content.encode()))
    assert len(asking.cosign(checkpoint(700), tiles).note.signatures) == 3
    witness.behaviour = answering(500, b"")
    assert len(asking.cosign(checkpoint(700), tiles).note.signatures) == 2
    assert [str(each) for each in asking.outcomes] == ["w1 answered 500"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://witness.example.org",
        "file:///etc/passwd",
        "witness.example.org",
        "https://",
        "https://user@witness.example.org",
        "https://user:secret@witness.example.org",
        "https://witness.example.org?x=y",
        "https://witness.example.org#x",
        "https://witness.example.org:99999",
        "https://[::1",
        "https://\udcff.example.org",
    ],
)
def test_an_address_that_is_none_is_refused_before_anybody_is_asked(url: str) -> None:
    line = f"witness w1 {witness_key('w1').verifier_key} {url}\nquorum w1\n"
    with pytest.raises(PolicyError, match="the address of the witness w1"):
        Witnesses(Policy.parse(line.encode(errors="surrogateescape")))


def test_a_quorum_that_has_no_addresses_is_refused_before_anybody_is_asked() -> None:
    lines = [f"witness w{number} {witness_key(f'w{number}').verifier_key}" for number in (1, 2)]
    lines[0] += " https://witness.example.org"
    content = "\n".join([*lines, "group g all w1 w2", "quorum g", ""])
    with pytest.raises(PolicyError, match=r"too few witnesses have an address .* it is cosigned by w1"):
        Witnesses(Policy.parse(content.encode()))


# --- the policy of a ledger -----------------------------------------------------------------------------------------


def test_a_ledger_without_a_policy_asks_nobody(tiles: TileFolder, tmp_path: Path) -> None:
    witnesses = LedgerWitnesses(tmp_path / "proof")
    given = checkpoint(700)  # ML-DSA signatures hold randomness
    assert witnesses.cosign(given, tiles) == given
    assert witnesses.accept(given)


def test_all_processes_of_a_ledger_obey_the_policy_that_was_installed_last(
    served: Callable[[str], Witness], tiles: TileFolder, tmp_path: Path
) -> None:
    witness = served("w1")
    running, other = LedgerWitnesses(tmp_path / "proof"), LedgerWitnesses(tmp_path / "proof")
    for name, content in (
        ("policy", f"witness w1 {witness.key.verifier_key} {witness.url}\nquorum w1\n"),
        ("none", "quorum none\n"),
    ):
        (tmp_path / name).write_text(content)
    witness._now = time.time
    running.install(tmp_path / "policy")
    assert (tmp_path / "proof" / "log-policy").stat().st_mode & 0o077 == 0
    assert not other.accept(checkpoint(700))
    cosigned = other.cosign(checkpoint(700), tiles)
    assert running.accept(cosigned)
    witness.behaviour = answering(500, b"")
    with pytest.raises(WitnessError, match="w1 answered 500"):
        running.cosign(checkpoint(700), tiles)
    running.install(tmp_path / "none")
    given = checkpoint(700)
    assert other.accept(given)
    assert other.cosign(given, tiles) == given


def test_a_policy_that_cannot_be_followed_is_not_installed(tmp_path: Path) -> None:
    witnesses = LedgerWitnesses(tmp_path / "proof")
    key = witness_key("w1").verifier_key
    for content, message in (
        ("quorum w1\n", "policy is not a policy that can be followed: line 1: w1 is not the name"),
        (f"witness w1 {key}\nquorum w1\n", "too few witnesses have an address"),
        (None, "policy cannot be read: No such file"),
    ):
        file = tmp_path / "policy"
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        with pytest.raises(PolicyError, match=message):
            witnesses.install(file)
        assert not witnesses.path.exists()


@pytest.mark.parametrize("damage", ["", "quorum", "quorum none", "quorum w1\n"])
def test_a_damaged_policy_publishes_nothing(damage: str, tiles: TileFolder, tmp_path: Path) -> None:
    witnesses = LedgerWitnesses(tmp_path)
    witnesses.path.write_text(damage)
    with pytest.raises(WitnessError, match=r"log-policy is damaged: .*nothing is published"):
        witnesses.cosign(checkpoint(700), tiles)
    with pytest.raises(WitnessError, match=r"log-policy is damaged: .*nothing is published"):
        witnesses.accept(checkpoint(700))


def test_a_policy_that_cannot_be_opened_publishes_nothing(tiles: TileFolder, tmp_path: Path) -> None:
    witnesses = LedgerWitnesses(tmp_path)
    witnesses.path.mkdir()
    with pytest.raises(WitnessError, match=r"log-policy cannot be read: .*nothing is published"):
        witnesses.cosign(checkpoint(700), tiles)

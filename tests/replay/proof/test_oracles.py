"""The tree, its proofs, tiles and notes agree with other programs: RFC 6962 written down plainly, pymerkle, Go's
`x/mod/sumdb`, and metamorphic-log. Each of them also refuses what is refused here.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

import metamorphic_log
import pytest
from pymerkle import InmemoryTree
from pymerkle.proof import InvalidProof

from replay.proof.notes import Note, SignatureKind, SigningKey, VerifierKey, read_note, sign_note, verify_note
from replay.proof.tiles import Edge
from replay.proof.tree import (
    EMPTY_ROOT,
    Hashes,
    ProofError,
    consistency_proof,
    hashes_of,
    inclusion_proof,
    index_path,
    leaf_hash,
    root_hash,
    tiles,
    verify_consistency,
    verify_inclusion,
)
from tests.support.replay import go_oracle
from tests.support.replay.go_oracle import GoOracle
from tests.support.replay.plain_tree import plain_consistency, plain_inclusion, plain_root, plain_tiles
from tests.support.replay.proofs import NOW, checkpoint_of, log_keys, tree_of, witness_key

ED25519, ML_DSA = log_keys()
TREES = 2_000


def seeded(seed: int) -> random.Random:
    """Return chance that is the same at each run."""
    return random.Random(seed)  # noqa: S311


def leaves_of(salt: str, size: int) -> list[bytes]:
    """Return the leaves of the tree with this salt, as the program in Go makes it."""
    return [leaf_hash(f"{salt}/{number}".encode()) for number in range(size)]


def random_trees(count: int, seed: int, size_max: int) -> Iterator[tuple[list[bytes], int, int]]:
    """Yield the leaves of random trees, with a leaf and an older size of each."""
    chance = seeded(seed)
    for number in range(count):
        size = chance.randint(1, size_max)
        yield leaves_of(f"{seed}-{number}", size), chance.randrange(size), chance.randint(1, size)


def accepts_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    with suppress(ProofError):
        verify_inclusion(leaf, index, size, proof, root)
        return True
    return False


def accepts_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    with suppress(ProofError):
        verify_consistency(old, old_root, new, new_root, proof)
        return True
    return False


def in_base64(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]


# --- RFC 6962, written down plainly ---------------------------------------------------------------------------------


def test_trees_of_all_small_sizes_are_those_of_the_definition() -> None:
    leaves = leaves_of("small", 40)
    for size in range(1, 41):
        hashes = hashes_of(leaves[:size])
        root = plain_root(leaves[:size])
        assert root_hash(hashes, size) == root
        for index in range(size):
            proof = plain_inclusion(index, leaves[:size])
            assert inclusion_proof(hashes, index, size) == proof
            verify_inclusion(leaves[index], index, size, proof, root)
        for old in range(1, size + 1):
            proof = plain_consistency(old, leaves[:size])
            assert consistency_proof(hashes, old, size) == proof
            verify_consistency(old, plain_root(leaves[:old]), size, root, proof)
    assert root_hash(hashes_of([]), 0) == EMPTY_ROOT == plain_root([])


def test_random_trees_are_those_of_the_definition() -> None:
    for leaves, index, old in random_trees(TREES, 1, 300):
        hashes, size = hashes_of(leaves), len(leaves)
        root = root_hash(hashes, size)
        inclusion, consistency = inclusion_proof(hashes, index, size), consistency_proof(hashes, old, size)
        assert root == plain_root(leaves)
        assert inclusion == plain_inclusion(index, leaves)
        assert consistency == plain_consistency(old, leaves)
        verify_inclusion(leaves[index], index, size, inclusion, root)
        verify_consistency(old, plain_root(leaves[:old]), size, root, consistency)


def test_a_proof_holds_for_its_own_numbers_alone() -> None:
    size, chance = 23, seeded(2)
    leaves = leaves_of("own", size)
    hashes = hashes_of(leaves)
    roots = {each: root_hash(hashes, each) for each in range(1, size + 1)}
    for index in range(size):
        proof = inclusion_proof(hashes, index, size)
        for other in range(size):
            assert accepts_inclusion(leaves[index], other, size, proof, roots[size]) is (other == index)
        for changed in without_each(proof):
            assert not accepts_inclusion(leaves[index], index, size, changed, roots[size])
    for old in range(1, size + 1):
        proof = consistency_proof(hashes, old, size)
        for other in range(1, size):
            right = other == old
            assert accepts_consistency(other, roots[other], size, roots[size], proof) is (right and old < size)
            assert accepts_consistency(old, roots[other], size, roots[size], proof) is (right and old < size)
        for changed in [*without_each(proof), [*proof, chance.randbytes(32)]]:
            assert not accepts_consistency(old, roots[old], size, roots[size], changed)


def without_each(proof: list[bytes]) -> Iterator[list[bytes]]:
    """Yield a proof with each of its hashes left out, repeated, shortened, and changed in each of its bits."""
    for place, each in enumerate(proof):
        yield proof[:place] + proof[place + 1 :]
        yield proof[: place + 1] + proof[place:]
        yield [*proof[:place], each[:-1], *proof[place + 1 :]]
        for bit in range(256):
            changed = bytearray(each)
            changed[bit // 8] ^= 1 << bit % 8
            yield [*proof[:place], bytes(changed), *proof[place + 1 :]]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 66_000])
def test_tiles_are_those_of_the_definition(size: int) -> None:
    leaves = leaves_of("tiles", size)
    expected = plain_tiles(leaves)
    assert {tile.path for tile in tiles(size)} == set(expected)
    edge = Edge()
    written = {tile.path: content for tile, content in edge.append(b"".join(leaves))}
    written.update({tile.path: content for tile, content in edge.partial()})
    assert written == expected


def test_tiles_of_a_grown_tree_are_those_that_the_smaller_tree_does_not_have() -> None:
    chance = seeded(3)
    leaves = leaves_of("grown", 1_400)
    for _ in range(300):
        new = chance.randint(1, 1_400)
        old = chance.randint(0, new)
        before, after = plain_tiles(leaves[:old]), plain_tiles(leaves[:new])
        assert {tile.path for tile in tiles(new, old)} == set(after) - set(before)


def test_paths_of_tiles_have_groups_of_three_digits() -> None:
    """The examples of C2SP tlog-tiles."""
    assert index_path(1_234_067) == "x001/x234/067"
    assert index_path(0) == "000"
    assert index_path(273, 112) == "273.p/112"
    assert index_path(1_000, 1) == "x001/000.p/1"
    assert index_path((1 << 63) // 256) == "x036/x028/x797/x018/963/968".replace("963/", "x963/")


# --- numbers near the limits ----------------------------------------------------------------------------------------


def test_proofs_of_trees_of_up_to_2_to_the_63_leaves() -> None:
    """All leaves are equal, so a complete subtree has one hash for each level, and no tree is too large."""
    levels = [leaf_hash(b"x")]
    for _ in range(64):
        levels.append(hashes_of([levels[-1]] * 2)(1, 0))
    same: Hashes = lambda level, _index: levels[level]  # noqa: E731
    chance = seeded(4)
    for size in [(1 << 63) - 1, 1 << 62, (1 << 62) + 1, *(chance.randrange(1 << 40, 1 << 63) for _ in range(200))]:
        root = root_hash(same, size)
        for index in (0, size - 1, chance.randrange(size)):
            proof = inclusion_proof(same, index, size)
            assert len(proof) <= 63
            verify_inclusion(levels[0], index, size, proof, root)
            metamorphic_log.verify_inclusion(index, size, levels[0], proof, root)
        old = chance.randrange(1, size)
        proof = consistency_proof(same, old, size)
        assert len(proof) <= (63 if size <= 1 << 62 else 64)  # witnesses take 63
        verify_consistency(old, root_hash(same, old), size, root, proof)
        metamorphic_log.verify_consistency(old, size, proof, root_hash(same, old), root)


# --- pymerkle -------------------------------------------------------------------------------------------------------


def test_random_trees_are_those_of_pymerkle() -> None:
    chance = seeded(5)
    trees = 0
    while trees < TREES:
        entries = [f"{trees}/{number}".encode() for number in range(chance.randint(1, 80))]
        theirs = InmemoryTree(algorithm="sha256")
        theirs.append_entries(entries)
        hashes = hashes_of([leaf_hash(entry) for entry in entries])
        for _ in range(20):
            size = chance.randint(1, len(entries))
            index, old = chance.randrange(size), chance.randint(1, size)
            root, old_root = root_hash(hashes, size), root_hash(hashes, old)
            assert theirs.get_root(size) == root
            inclusion = theirs.prove_inclusion(index + 1, size)
            assert list(inclusion.path) == [hashes(0, index), *inclusion_proof(hashes, index, size)]
            consistency = theirs.prove_consistency(
                old, size
            )  # of another form: it begins with the parts of the old tree
            consistency.verify(old_root, root, old, size)
            verify_consistency(old, old_root, size, root, consistency_proof(hashes, old, size))
            with pytest.raises(InvalidProof):
                consistency.verify(leaf_hash(old_root), root, old, size)
            trees += 1


# --- metamorphic-log ------------------------------------------------------------------------------------------------


def metamorphic_accepts_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    with suppress(metamorphic_log.VerifyError):
        metamorphic_log.verify_inclusion(index, size, leaf, proof, root)
        return True
    return False


def metamorphic_accepts_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    with suppress(metamorphic_log.VerifyError):
        metamorphic_log.verify_consistency(old, new, proof, old_root, new_root)
        return True
    return False


def mutations(chance: random.Random, proof: list[bytes]) -> Iterator[list[bytes]]:
    """Yield a proof, and some that were tampered with; each hash still has 32 bytes."""
    yield proof
    yield [*proof, chance.randbytes(32)]
    yield proof[:-1]
    yield proof[1:]
    yield proof[::-1]
    if proof:
        place = chance.randrange(len(proof))
        yield [*proof[:place], chance.randbytes(32), *proof[place + 1 :]]


def test_metamorphic_log_accepts_and_refuses_the_same_proofs() -> None:
    chance = seeded(6)
    accepted = 0
    for leaves, index, old in random_trees(TREES // 2, 6, 200):
        hashes, size = hashes_of(leaves), len(leaves)
        root, old_root = root_hash(hashes, size), root_hash(hashes, old)
        for proof in mutations(chance, inclusion_proof(hashes, index, size)):
            for number in {index, chance.randrange(size)}:
                ours = accepts_inclusion(leaves[index], number, size, proof, root)
                assert metamorphic_accepts_inclusion(leaves[index], number, size, proof, root) is ours
                accepted += ours
        for proof in mutations(chance, consistency_proof(hashes, old, size)):
            for number in {old, chance.randint(1, size)}:
                ours = accepts_consistency(number, old_root, size, root, proof)
                assert metamorphic_accepts_consistency(number, old_root, size, root, proof) is ours
                accepted += ours
    assert accepted >= TREES


def test_metamorphic_log_opens_our_checkpoints_and_refuses_changed_ones() -> None:
    """It knows Ed25519 keys alone (version 0.1): lines of other kinds are unknown to it, and are ignored."""
    hashes = tree_of(11)
    note = checkpoint_of(hashes, 11, ED25519, ML_DSA, witness_key("w"), extensions=("hours 3 11 aa bb",))
    text, keys = note.encode().decode(), [str(ED25519.verifier_key)]
    head = metamorphic_log.checkpoint_verify(text, keys)
    assert (head.origin, head.size, head.root) == (ED25519.name, 11, root_hash(hashes, 11))
    assert head.extensions == ["hours 3 11 aa bb"]
    proof = inclusion_proof(hashes, 6, 11)
    metamorphic_log.checkpoint_verify_inclusion(text, keys, 6, hashes(0, 6), proof)
    older = checkpoint_of(hashes, 7, ED25519).encode().decode()
    metamorphic_log.checkpoint_verify_consistency(older, text, keys, consistency_proof(hashes, 7, 11))
    other = SigningKey(ED25519.name, SignatureKind.ED25519, bytes(32)).verifier_key
    for changed, trusted in (
        (text.replace("hours 3", "hours 4"), keys),
        (text.replace("\n11\n", "\n12\n"), keys),
        (text, [str(other)]),
    ):
        with pytest.raises(metamorphic_log.VerifyError):
            metamorphic_log.checkpoint_verify(changed, trusted)


# --- Go -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def go() -> Iterator[GoOracle]:
    if not go_oracle.is_there():
        pytest.skip(go_oracle.MISSING)
    with go_oracle.running_go() as oracle:
        yield oracle


def test_random_trees_are_those_of_go(go: GoOracle) -> None:
    chance = seeded(7)
    for number in range(TREES):
        size = chance.randint(1, 300 if number % 100 else 5_000)
        index, old, salt = chance.randrange(size), chance.randint(1, size), f"{number}"
        hashes = hashes_of(leaves_of(salt, size))
        assert go.ask(op="tree", salt=salt, size=size, old=old, index=index) == {
            "root": in_base64([root_hash(hashes, size)])[0],
            "old_root": in_base64([root_hash(hashes, old)])[0],
            "inclusion": in_base64(inclusion_proof(hashes, index, size)),
            "consistency": in_base64(consistency_proof(hashes, old, size)),
        }


def test_go_accepts_and_refuses_the_same_proofs(go: GoOracle) -> None:
    chance = seeded(8)
    for leaves, index, old in random_trees(200, 8, 200):
        hashes, size = hashes_of(leaves), len(leaves)
        root, old_root = root_hash(hashes, size), root_hash(hashes, old)
        for proof in mutations(chance, inclusion_proof(hashes, index, size)):
            for number in {index, chance.randrange(size)}:
                theirs = go.ask(op="check", leaf=leaves[index], index=number, size=size, proof=proof, root=root)
                assert theirs["inclusion"] is accepts_inclusion(leaves[index], number, size, proof, root)
        for proof in mutations(chance, consistency_proof(hashes, old, size)):
            for number in {old, chance.randint(1, size)}:
                theirs = go.ask(
                    op="check-consistency", old=number, old_root=old_root, size=size, root=root, proof=proof
                )
                assert theirs["consistency"] is accepts_consistency(number, old_root, size, root, proof)


def test_tiles_are_those_of_go(go: GoOracle) -> None:
    chance = seeded(9)
    pairs = [(0, 65_537), (65_500, 65_800), *((old, old + chance.randrange(700)) for old in range(0, 2_000, 97))]
    for old, size in pairs:
        expected = {path: base64.b64decode(data) for path, data in tiles_of_go(go, "t", old, size).items()}
        leaves = b"".join(leaves_of("t", size))
        edge = Edge()
        edge.append(leaves[: 32 * old])
        grown = {tile.path: content for tile, content in edge.append(leaves[32 * old :])}
        if size > old:
            grown.update({tile.path: content for tile, content in edge.partial()})
        ours = {tile.path for tile in tiles(size, old)}
        assert ours <= set(expected)
        assert {path: grown[path] for path in ours} == {path: expected[path] for path in ours}
        for path in set(expected) - ours:  # Go names each width of a partial tile on the way
            whole, partial, _ = path.partition(".p/")
            assert partial
            assert any(other.startswith(whole) for other in (*ours, *(tile.path for tile in tiles(old))))


def tiles_of_go(go: GoOracle, salt: str, old: int, size: int) -> dict[str, str]:
    found: dict[str, str] = go.ask(op="tiles", salt=salt, size=size, old=old)["tiles"]
    return found


def test_go_opens_our_notes_and_refuses_changed_ones(go: GoOracle) -> None:
    for content, is_right in go_oracle.notes_to_open():
        opened = go.ask(op="open", note=content, keys=[str(ED25519.verifier_key)])
        if is_right:
            assert opened["text"] == read_note(content.encode()).text
            assert opened["names"] == [ED25519.name]
            assert opened["unverified"] == content.count("\n— ") - 1
        else:
            assert "error" in opened, content


def test_every_bit_of_a_note_counts_for_go_as_it_does_here(go: GoOracle) -> None:
    content = sign_note(go_oracle.note_text(ED25519.name), [ED25519], NOW).encode()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        with suppress(UnicodeDecodeError):
            assert "error" in go.ask(op="open", note=changed.decode(), keys=[str(ED25519.verifier_key)])
        ours = False
        with suppress(ValueError):
            ours = bool(verify_note(read_note(bytes(changed)), [ED25519.verifier_key]))
        assert not ours


def test_go_and_we_make_the_same_signature(go: GoOracle) -> None:
    for question in (each for each in go_oracle.questions() if each["op"] == "sign"):
        check_kept(question, go.ask(**question))


def test_what_go_answered_once_is_answered_here() -> None:
    kept = json.loads(go_oracle.VECTORS.read_text("utf-8"))
    assert len(kept) == len(list(go_oracle.questions()))
    for each in kept:
        check_kept(each["question"], each["answer"])


def check_kept(question: dict[str, object], answer: dict[str, object]) -> None:
    """Compare an answer of Go with ours."""
    if question["op"] == "sign":
        seed = question["seed"] if isinstance(question["seed"], bytes) else base64.b64decode(str(question["seed"]))
        key = SigningKey(str(question["name"]), SignatureKind.ED25519, seed)
        note: Note = sign_note(str(question["note"]), [key], NOW)
        assert answer == {"key": str(key.verifier_key), "note": note.encode().decode()}
        assert VerifierKey.parse(str(answer["key"])) == key.verifier_key
        return
    size, old = int(str(question["size"])), int(str(question["old"]))
    leaves = leaves_of(str(question["salt"]), size)
    if question["op"] == "tiles":
        all_tiles = plain_tiles(leaves)
        paths = {tile.path for tile in tiles(size, old)}
        kept = answer["tiles"]
        assert isinstance(kept, dict)
        assert kept.items() >= {path: sha256(all_tiles[path]).hexdigest() for path in paths}.items()
        return
    hashes, index = hashes_of(leaves), int(str(question["index"]))
    assert answer == {
        "root": in_base64([root_hash(hashes, size)])[0],
        "old_root": in_base64([root_hash(hashes, old)])[0],
        "inclusion": in_base64(inclusion_proof(hashes, index, size)),
        "consistency": in_base64(consistency_proof(hashes, old, size)),
    }

"""Policies: which logs and witnesses somebody trusts, as a C2SP tlog-policy file, and whether a checkpoint meets one.

    # a comment
    log VKEY [URL]
    witness NAME VKEY [URL]
    group NAME all|any|NUMBER MEMBER...
    quorum NAME|none

A checkpoint is accepted if a log of the policy signed it, by a key whose name is the checkpoint's origin, and the
witnesses of the quorum cosigned it. Everything else is refused: a policy that cannot be read, one without a log, a
wrong signature by a known key. Names are bytes to the format; here they are text in which bytes that are not UTF-8
survive.

An ML-DSA-44 signature does not cover extension lines (c2sp.org/tlog-cosignature), so they are given out only if an
Ed25519 signature of the log covers them. Source: c2sp.org/tlog-policy.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ledger.sentences import printable
from replay.proof.notes import Note, NoteError, SignatureKind, Verified, VerifierKey, read_note, tree_head, verify_note

POLICY_BYTES_MAX = 1_000_000
DEFINITIONS_MAX = 1_000
NONE = "none"

LOG_KINDS = (SignatureKind.ED25519, SignatureKind.ML_DSA_44_COSIGNATURE)
WITNESS_KINDS = (SignatureKind.ED25519_COSIGNATURE, SignatureKind.ML_DSA_44_COSIGNATURE)


class PolicyError(ValueError):
    """A policy file is wrong; the message names the line."""


class CheckpointError(ValueError):
    """A policy does not accept a checkpoint; the message says why."""


class Log(NamedTuple):
    """A log that is trusted, and where it can be reached."""

    key: VerifierKey
    url: str | None = None


class Witness(NamedTuple):
    """A witness that is trusted, its name within the policy, and the prefix of the address that takes checkpoints."""

    name: str
    key: VerifierKey
    url: str | None = None


class Group(NamedTuple):
    """Witnesses and groups of which at least `threshold` have to agree."""

    name: str
    threshold: int
    members: tuple[str, ...]


class VerifiedCheckpoint(NamedTuple):
    """A checkpoint that a policy accepts.

    `extensions`: the lines after the root, if an Ed25519 signature of the log covers them; otherwise none.
    `logs`, `witnesses`: the signatures that were verified, one for each key.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...]
    logs: tuple[Verified, ...]
    witnesses: tuple[Verified, ...]


@dataclass(frozen=True)
class Policy:
    """The logs and witnesses that are trusted, and the quorum: the name of a witness or a group, or `none`."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE

    @classmethod
    def of_keys(cls, keys: Iterable[VerifierKey]) -> Policy:
        """Return the policy that accepts what one of these log's keys signed, without witnesses."""
        return cls(()).for_logs(keys)

    def for_logs(self, keys: Iterable[VerifierKey]) -> Policy:
        """Return this policy with these keys as those of its logs, in place of the ones in the file.

        Raises:
            PolicyError: a key is not one of a log, or is one of a witness of this policy.
        """
        builder = _Builder()
        for witness in self.witnesses:
            builder.claim_key(witness.key, WITNESS_KINDS)
        logs = []
        for key in dict.fromkeys(keys):
            builder.claim_key(key, LOG_KINDS)
            logs.append(Log(key))
        return replace(self, logs=tuple(logs))

    @classmethod
    def parse(cls, content: bytes) -> Policy:
        """Read a policy file.

        Raises:
            PolicyError: it is malformed; the message says in which line, what is wrong, and what is expected.
        """
        if len(content) > POLICY_BYTES_MAX:
            raise PolicyError(f"the policy is larger than {POLICY_BYTES_MAX:,} bytes")
        builder = _Builder()
        lines = content.removeprefix(BOM_UTF8).split(b"\n")
        if lines.pop():
            raise PolicyError(f"line {len(lines) + 1} does not end with a newline: is the file complete?")
        for number, line in enumerate(lines, 1):
            try:
                builder.read_line(line)
            except (PolicyError, NoteError) as error:
                raise PolicyError(f"line {number}: {error}") from None
        if builder.quorum is None:
            raise PolicyError("the policy has no line `quorum NAME`; `quorum none` asks for no witness")
        return cls(tuple(builder.logs), tuple(builder.witnesses), tuple(builder.groups), builder.quorum)

    def verify(self, checkpoint: Note | bytes) -> VerifiedCheckpoint:
        """Verify a checkpoint under this policy.

        Raises:
            CheckpointError: it is malformed, a signature by a known key is wrong, no log of the policy signed it, or
                the witnesses that cosigned it do not make up the quorum.
        """
        try:
            note = read_note(checkpoint) if isinstance(checkpoint, bytes) else checkpoint
            origin, size, root = tree_head(note.text)
            log_keys = {each.key for each in self.logs if each.key.name == origin}
            names = {each.key: each.name for each in self.witnesses}
            verified = {each.key: each for each in verify_note(note, [*log_keys, *names])}
        except NoteError as error:
            raise CheckpointError(f"the checkpoint is refused: {error}") from None
        logs = tuple(each for key, each in verified.items() if key in log_keys)
        witnesses = tuple(each for key, each in verified.items() if key in names)
        if not logs:
            raise CheckpointError(f"the checkpoint of {_short(origin)} is refused: {self._why_no_log(origin)}")
        missing = self.missing({names[each.key] for each in witnesses})
        if missing is not None:
            raise CheckpointError(f"the checkpoint of {_short(origin)} is refused: {missing}")
        covered = any(each.key.kind is SignatureKind.ED25519 for each in logs)
        extensions = tuple(note.text.split("\n")[3:-1]) if covered else ()
        return VerifiedCheckpoint(origin, size, root, extensions, logs, witnesses)

    def missing(self, cosigners: Iterable[str]) -> str | None:
        """Return what the quorum lacks if the witnesses with these names cosigned, as a sentence; None if nothing."""
        reached = set(cosigners) & {each.name for each in self.witnesses}
        groups = {each.name: each for each in self.groups}
        agreeing = set(reached)
        for group in self.groups:  # a group comes after its members
            if sum(member in agreeing for member in group.members) >= group.threshold:
                agreeing.add(group.name)
        if self.quorum == NONE or self.quorum in agreeing:
            return None
        cosigned = f"cosigned by {', '.join(sorted(map(_short, reached)))}" if reached else "cosigned by none of them"
        wanted = f"a cosignature of {_short(self.quorum)}"
        if asked := groups.get(self.quorum):
            members = ", ".join(map(_short, asked.members))
            wanted = f"{asked.threshold} of the {len(asked.members)} in {_short(asked.name)} ({members})"
        return f"the policy asks for {wanted}; it is {cosigned}"

    def _why_no_log(self, origin: str) -> str:
        if not self.logs:
            return "the policy names no log"
        if not any(each.key.name == origin for each in self.logs):
            return f"the policy knows only {', '.join(sorted({_short(each.key.name) for each in self.logs}))}"
        return "no key of this log that is trusted signed it"


@dataclass
class _Builder:
    """What was read of a policy so far."""

    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    names: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    keys: dict[bytes, bool] = field(default_factory=dict)
    ids: set[tuple[str, int]] = field(default_factory=set)

    def read_line(self, line: bytes) -> None:
        """Read one line."""
        if unexpected := re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line):
            hint = "; lines end with a newline alone" if unexpected[0] == b"\r" else ""
            raise PolicyError(f"it holds the control character 0x{unexpected[0][0]:02x}{hint}")
        words = re.split(r"[ \t]+", line.decode(errors="surrogateescape").strip(" \t"))
        keyword, *items = words
        if not keyword or keyword.startswith("#"):
            return
        readers: dict[str, Callable[[Sequence[str]], None]] = {
            "log": self._read_log,
            "witness": self._read_witness,
            "group": self._read_group,
            "quorum": self._read_quorum,
        }
        if keyword not in readers:
            raise PolicyError(f"{_short(keyword)} is not known; a line begins with log, witness, group, quorum or #")
        if len(self.logs) + len(self.names) >= DEFINITIONS_MAX:
            raise PolicyError(f"a policy defines at most {DEFINITIONS_MAX:,} logs, witnesses and groups")
        readers[keyword](items)

    def claim_key(self, key: VerifierKey, kinds: Sequence[SignatureKind]) -> None:
        """Check that a key is of a kind that fits, and that no other line has it."""
        is_log = kinds is LOG_KINDS
        if key.kind not in kinds:
            whose = "a log's" if is_log else "a witness's"
            raise PolicyError(
                f"the key of {_short(key.name)} is of kind 0x{key.kind:02x}; {whose} is of kind "
                f"{' or '.join(f'0x{each:02x}' for each in kinds)}"
            )
        if key.public_key in self.keys:
            both = "" if self.keys[key.public_key] is is_log else " of a log and of a witness: a log cannot be its own"
            raise PolicyError(f"the key of {_short(key.name)} is that of an earlier line{both}")
        if (key.name, key.key_id) in self.ids:
            raise PolicyError(f"the key of {_short(key.name)} has the name and the key id of an earlier line's")
        self.keys[key.public_key] = is_log
        self.ids.add((key.name, key.key_id))

    def _read_log(self, items: Sequence[str]) -> None:
        if len(items) not in {1, 2}:
            raise PolicyError("expected `log VKEY [URL]`")
        key = _key(items[0])
        self.claim_key(key, LOG_KINDS)
        self.logs.append(Log(key, *items[1:]))

    def _read_witness(self, items: Sequence[str]) -> None:
        if len(items) not in {2, 3}:
            raise PolicyError("expected `witness NAME VKEY [URL]`")
        key = _key(items[1])
        self._define(items[0])
        self.claim_key(key, WITNESS_KINDS)
        self.witnesses.append(Witness(items[0], key, *items[2:]))

    def _read_group(self, items: Sequence[str]) -> None:
        if len(items) < 3:
            raise PolicyError("expected `group NAME all|any|NUMBER MEMBER...`")
        name, rule, *members = items
        if rule in {"all", "any"}:
            threshold = len(members) if rule == "all" else 1
        elif re.fullmatch(r"[1-9][0-9]{0,5}", rule) and int(rule) <= len(members):
            threshold = int(rule)
        else:
            raise PolicyError(f"expected all, any or a number from 1 to {len(members)} in place of {_short(rule)}")
        for member in members:
            if member not in self.names:
                raise PolicyError(f"{_short(member)} is not the name of a witness or a group of an earlier line")
            if member in self.members:
                raise PolicyError(f"{_short(member)} is a member of a group already; a name is a member of one group")
            self.members.add(member)
        self._define(name)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _read_quorum(self, items: Sequence[str]) -> None:
        if len(items) != 1:
            raise PolicyError("expected `quorum NAME` or `quorum none`")
        if self.quorum is not None:
            raise PolicyError("there is a line `quorum` already")
        if items[0] != NONE and items[0] not in self.names:
            raise PolicyError(f"{_short(items[0])} is not the name of a witness or a group of an earlier line")
        self.quorum = items[0]

    def _define(self, name: str) -> None:
        if name == NONE:
            raise PolicyError("the name `none` has a meaning of its own; choose another")
        if name in self.names:
            raise PolicyError(f"the name {_short(name)} is used already; witnesses and groups share their names")
        self.names.add(name)


def _key(text: str) -> VerifierKey:
    """Read a verifier key; bytes that are not UTF-8 have no place in one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PolicyError("the verifier key holds bytes that are not UTF-8") from None
    return VerifierKey.parse(text)


def _short(name: str) -> str:
    """Return a name for a message: not too long, and without bytes that cannot be shown."""
    shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return printable(shown if len(shown) <= 60 else f"{shown[:59]}…")

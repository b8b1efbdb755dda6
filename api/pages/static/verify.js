// Verification in the browser, with WebCrypto alone: entries, signed notes, proofs and trees as RFC 6962 and C2SP define
// them (docs/audit.md). Pure functions: nothing here asks a server. A failure is a VerificationError with a code.

const HASH_BYTES = 32;
const TILE_HEIGHT = 8;
const TILE_WIDTH = 256;
const ED25519 = 1;
const PROOF_HEADER = "c2sp.org/tlog-proof@v1";
const bytesOf = (text) => new TextEncoder().encode(text);

export class VerificationError extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.code = code;
  }
}

// --- bytes ---------------------------------------------------------------------------------------------------------

export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Decode base64 in its one canonical form, so that no two texts stand for the same bytes. */
export function fromBase64(text) {
  let raw;
  try {
    raw = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  } catch {
    throw new VerificationError("malformed", "not base64");
  }
  if (base64(raw) !== text) throw new VerificationError("malformed", "base64 in another than its usual form");
  return raw;
}

function numberOf(text) {
  const value = Number(text);
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(value))
    throw new VerificationError("malformed", `not a number: ${text.slice(0, 30)}`);
  return value;
}

// --- the tree (RFC 6962; tile mathematics of C2SP tlog-tiles) --------------------------------------------------------

export const leafHash = (entry) => sha256(concat(Uint8Array.of(0), entry));
export const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

/** Return the largest power of two below a size of at least 2. Sizes pass 2**32, so no bit operators. */
function split(size) {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

/** Return the root over the first `size` leaves. `hashes(level, index)`: the hash of a complete subtree. */
export function rootOf(hashes, size) {
  return size ? rangeRoot(hashes, 0, size) : sha256(new Uint8Array());
}

async function rangeRoot(hashes, first, last) {
  const size = last - first;
  const level = Math.log2(size);
  if (Number.isInteger(level) && first % size === 0) return hashes(level, first / size);
  const middle = first + split(size);
  return nodeHash(await rangeRoot(hashes, first, middle), await rangeRoot(hashes, middle, last));
}

export async function consistencyProof(hashes, older, newer) {
  if (older === 0 || older === newer) return [];
  const proof = [];
  let [first, last, whole] = [0, newer, true];
  while (last !== older) {
    const middle = first + split(last - first);
    if (older <= middle) {
      proof.push(await rangeRoot(hashes, middle, last));
      last = middle;
    } else {
      proof.push(await rangeRoot(hashes, first, middle));
      first = middle;
      whole = false;
    }
  }
  if (!whole) proof.push(await rangeRoot(hashes, first, last));
  return proof.reverse();
}

/** Yield each hash of a proof from a node upwards, and whether it belongs to the left. */
function* climb(place, last, proof) {
  for (const sibling of proof) {
    if (sibling.length !== HASH_BYTES) throw new VerificationError("malformed", "a hash has another length");
    if (last === 0) throw new VerificationError("altered", "the proof is longer than the tree is high");
    const isLeft = place % 2 === 1 || place === last;
    yield [sibling, isLeft];
    while (isLeft && place % 2 === 0 && place) {
      place /= 2;
      last = Math.floor(last / 2);
    }
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  if (last) throw new VerificationError("altered", "the proof is shorter than the tree is high");
}

/** Verify that a leaf hash has its place in the tree with this size and root. */
export async function verifyInclusion(leaf, index, size, proof, root) {
  if (!(index >= 0 && index < size)) throw new VerificationError("altered", `leaf ${index} is not in a tree of ${size}`);
  let node = leaf;
  for (const [sibling, isLeft] of climb(index, size - 1, proof))
    node = isLeft ? await nodeHash(sibling, node) : await nodeHash(node, sibling);
  if (!same(node, root)) throw new VerificationError("altered", "the proof does not lead to the root of the tree");
}

/** Verify that the newer tree continues the older one. */
export async function verifyConsistency(older, olderRoot, newer, newerRoot, proof) {
  const wrong = new VerificationError("inconsistent", `the tree of ${newer} does not continue the one of ${older}`);
  if (!(older >= 0 && older <= newer)) throw wrong;
  if (older === 0 || older === newer) {
    const expected = older === newer ? newerRoot : await sha256(new Uint8Array());
    if (proof.length || !same(olderRoot, expected)) throw wrong;
    return;
  }
  let [place, last] = [older - 1, newer - 1];
  while (place % 2) [place, last] = [(place - 1) / 2, Math.floor(last / 2)];
  const hashes = place ? [...proof] : [olderRoot, ...proof];
  if (!hashes.length) throw wrong;
  let [olderNode, newerNode] = [hashes[0], hashes[0]];
  for (const [sibling, isLeft] of climb(place, last, hashes.slice(1))) {
    if (isLeft) {
      olderNode = await nodeHash(sibling, olderNode);
      newerNode = await nodeHash(sibling, newerNode);
    } else newerNode = await nodeHash(newerNode, sibling);
  }
  if (!same(olderNode, olderRoot) || !same(newerNode, newerRoot)) throw wrong;
}

/** Return a tile's number as it is written in addresses, with its width if it is partial. */
export function tileIndex(number, width = TILE_WIDTH) {
  const groups = [String(number % 1000).padStart(3, "0")];
  for (let left = Math.floor(number / 1000); left; left = Math.floor(left / 1000))
    groups.unshift(`x${String(left % 1000).padStart(3, "0")}`);
  return groups.join("/") + (width === TILE_WIDTH ? "" : `.p/${width}`);
}

/** Return `hashes` that reads tiles: `fetchTile(level, index)` returns the bytes of one, `index` as in its address. */
export function tileHashes(fetchTile, size) {
  const known = new Map();
  const read = (level, index) => {
    const name = `${level}/${index}`;
    if (!known.has(name)) known.set(name, fetchTile(level, index));
    return known.get(name);
  };
  return async (level, index) => {
    const tileLevel = Math.floor(level / TILE_HEIGHT);
    const count = 2 ** (level % TILE_HEIGHT);
    const first = index * count;
    const number = Math.floor(first / TILE_WIDTH);
    const available = Math.floor(size / 2 ** (tileLevel * TILE_HEIGHT));
    const tile = await read(tileLevel, tileIndex(number, Math.min(TILE_WIDTH, available - number * TILE_WIDTH)));
    const from = (first % TILE_WIDTH) * HASH_BYTES;
    const part = tile.slice(from, from + count * HASH_BYTES);
    if (part.length !== count * HASH_BYTES) throw new VerificationError("malformed", "a tile is too short");
    let row = [];
    for (let at = 0; at < part.length; at += HASH_BYTES) row.push(part.slice(at, at + HASH_BYTES));
    while (row.length > 1) {
      const above = [];
      for (let at = 0; at < row.length; at += 2) above.push(await nodeHash(row[at], row[at + 1]));
      row = above;
    }
    return row[0];
  };
}

// --- entries ---------------------------------------------------------------------------------------------------------

/** Return the entries of a bundle: each stands after its length in two bytes. */
export function entriesOf(bundle) {
  const entries = [];
  let at = 0;
  while (at < bundle.length) {
    const first = at + 2;
    at = first + bundle[at] * 256 + bundle[at + 1];
    if (!(at <= bundle.length)) throw new VerificationError("malformed", "the bundle ends within an entry");
    entries.push(bundle.slice(first, at));
  }
  return entries;
}

/** Return what an entry says: position, stream, version, topic, and the stored bytes. */
export function readEntry(entry) {
  if (entry.length < 33) throw new VerificationError("malformed", "an entry has at least 33 bytes");
  const view = new DataView(entry.buffer, entry.byteOffset, entry.length);
  const end = 33 + entry[32];
  const stream = hex(entry.slice(8, 24)).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return {
    position: Number(view.getBigUint64(0)),
    stream,
    version: Number(view.getBigUint64(24)),
    topic: new TextDecoder().decode(entry.slice(33, end)),
    state: entry.slice(end),
  };
}

// --- notes and keys ----------------------------------------------------------------------------------------------------

/** Read a verifier key: NAME+KEYID+BASE64. */
export async function readKey(text) {
  const [name, id, ...rest] = text.trim().split("+");
  if (!name || !id || !rest.length) throw new VerificationError("not-a-key");
  let raw;
  try {
    raw = fromBase64(rest.join("+"));
  } catch {
    throw new VerificationError("not-a-key");
  }
  const digest = await sha256(concat(bytesOf(`${name}\n`), raw));
  if (hex(digest.slice(0, 4)) !== id) throw new VerificationError("not-a-key", "the key id does not belong to the key");
  return { name, id, kind: raw[0], publicKey: raw.slice(1), text: text.trim() };
}

/** Read a signed note without verifying it. */
export function readNote(text) {
  const at = text.lastIndexOf("\n\n");
  if (at < 0 || !text.endsWith("\n")) throw new VerificationError("malformed", "the note has no signatures");
  const signatures = text.slice(at + 2, -1).split("\n").map((line) => {
    const found = /^— (\S+) (\S+)$/u.exec(line);
    if (!found) throw new VerificationError("malformed", "not a signature line");
    const raw = fromBase64(found[2]);
    if (raw.length < 5) throw new VerificationError("malformed", "a signature is too short");
    return { name: found[1], id: hex(raw.slice(0, 4)), signature: raw.slice(4) };
  });
  return { text: text.slice(0, at + 1), signatures };
}

/** Return origin, size and root of a checkpoint's text. */
export function treeHead(text) {
  const lines = text.split("\n");
  if (lines.length < 4 || lines.pop() !== "" || lines.some((line) => !line))
    throw new VerificationError("malformed", "not a checkpoint");
  const root = fromBase64(lines[2]);
  if (root.length !== HASH_BYTES) throw new VerificationError("malformed", "the root has another length");
  return { origin: lines[0], size: numberOf(lines[1]), root };
}

/** Verify a checkpoint by an Ed25519 key; return its origin, size, root and the names of all who signed. */
export async function verifyCheckpoint(noteText, key) {
  if (key.kind !== ED25519) throw new VerificationError("not-a-key", "not an Ed25519 key");
  const note = readNote(noteText);
  const found = note.signatures.filter((one) => one.name === key.name && one.id === key.id);
  if (!found.length) throw new VerificationError("other-key");
  const imported = await crypto.subtle.importKey("raw", key.publicKey, "Ed25519", false, ["verify"]);
  for (const one of found)
    if (!(await crypto.subtle.verify("Ed25519", imported, one.signature, bytesOf(note.text))))
      throw new VerificationError("wrong-signature");
  const head = treeHead(note.text);
  if (head.origin !== key.name) throw new VerificationError("other-log", head.origin);
  return { ...head, signers: note.signatures.map((one) => one.name) };
}

/** Read a C2SP tlog-proof file. */
export function readProof(text) {
  const at = text.indexOf("\n\n");
  const lines = text.slice(0, at).split("\n");
  if (at < 0 || lines.shift() !== PROOF_HEADER) throw new VerificationError("malformed", "not a proof");
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = lines.shift() ?? "";
  if (!index.startsWith("index ")) throw new VerificationError("malformed", "the proof has no index");
  return { index: numberOf(index.slice(6)), hashes: lines.map(fromBase64), checkpoint: text.slice(at + 2) };
}

/** Verify that an entry is the event at a position, in the log of a checkpoint that a trusted key signed. */
export async function verifyEvent(entry, position, proofText, key) {
  const proof = readProof(proofText);
  const checkpoint = await verifyCheckpoint(proof.checkpoint, key);
  if (proof.index !== position - 1) throw new VerificationError("altered", "the proof is about another position");
  const leaf = await leafHash(entry);
  await verifyInclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root);
  const event = readEntry(entry);
  if (event.position !== position) throw new VerificationError("altered", "the entry is of another position");
  return { ...checkpoint, leaf, event, note: proof.checkpoint };
}

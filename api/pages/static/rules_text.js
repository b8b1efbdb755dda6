// Values within the text of rules (TOML): where each stands, and the text with one of them changed. Comments, order and
// everything else stay as they are. Pure functions.

const HEADER = /^[ \t]*(\[\[?)[ \t]*([\w.-]+)[ \t]*\]\]?[ \t]*(#.*)?$/;
const KEY = /^[ \t]*([\w-]+)[ \t]*=[ \t]*/;

/** Return the end of the value that begins at a place: a string, an array, a table in braces, or a word. */
function endOfValue(text, at) {
  for (const quotes of ['"""', "'''"])
    if (text.startsWith(quotes, at)) {
      const end = text.indexOf(quotes, at + 3);
      return end < 0 ? text.length : end + 3;
    }
  const first = text[at];
  if (first === '"' || first === "'") {
    let end = at + 1;
    while (end < text.length && text[end] !== first && text[end] !== "\n") end += first === '"' && text[end] === "\\" ? 2 : 1;
    return Math.min(end + 1, text.length);
  }
  if (first === "[" || first === "{") {
    let depth = 0;
    for (let end = at; end < text.length; end += 1) {
      const each = text[end];
      if (each === '"' || each === "'") end = endOfValue(text, end) - 1;
      else if (each === "#") end = (text.indexOf("\n", end) + 1 || text.length) - 1;
      else if (each === "[" || each === "{") depth += 1;
      else if (each === "]" || each === "}") {
        depth -= 1;
        if (!depth) return end + 1;
      }
    }
    return text.length;
  }
  let end = at;
  while (end < text.length && text[end] !== "#" && text[end] !== "\n") end += 1;
  while (end > at && /\s/.test(text[end - 1])) end -= 1;
  return end;
}

/** Return where values and tables stand: `values` by path, with start and end; `tables` by path, with the end of each. */
export function places(text) {
  const values = new Map();
  const tables = new Map([["", { end: 0 }]]);
  const counts = new Map();
  let table = "";
  let at = 0;
  while (at < text.length) {
    const lineEnd = text.indexOf("\n", at) < 0 ? text.length : text.indexOf("\n", at);
    const line = text.slice(at, lineEnd);
    const header = HEADER.exec(line);
    const key = header ? null : KEY.exec(line);
    let next = lineEnd + 1;
    if (header) {
      table = header[2].split(".").reduce((path, part, place, parts) => {
        const name = path ? `${path}.${part}` : part;
        if (header[1] === "[[" && place === parts.length - 1) counts.set(name, (counts.get(name) ?? -1) + 1);
        return counts.has(name) ? `${name}.${counts.get(name)}` : name;
      }, "");
      tables.set(table, { end: Math.min(next, text.length) });
    } else if (key) {
      const start = at + key[0].length;
      const end = endOfValue(text, start);
      const path = table ? `${table}.${key[1]}` : key[1];
      values.set(path, { line: at, start, end });
      const after = text.indexOf("\n", end);
      next = after < 0 ? text.length : after + 1;
      tables.set(table, { end: next });
    }
    at = next;
  }
  return { values, tables };
}

/** Return the text with a value changed; with null, the key's line is left out. */
export function withValue(text, path, literal) {
  const { values, tables } = places(text);
  const found = values.get(path);
  if (found && literal !== null) return text.slice(0, found.start) + literal + text.slice(found.end);
  if (found) {
    const end = text.indexOf("\n", found.end);
    return text.slice(0, found.line) + (end < 0 ? "" : text.slice(end + 1));
  }
  if (literal === null) return text;
  const cut = path.lastIndexOf(".");
  const [table, key] = [path.slice(0, Math.max(cut, 0)), path.slice(cut + 1)];
  const place = tables.get(table);
  const line = `${key} = ${literal}\n`;
  if (place) {
    const before = text.slice(0, place.end);
    return (before && !before.endsWith("\n") ? `${before}\n` : before) + line + text.slice(place.end);
  }
  return `${text.endsWith("\n") ? text : `${text}\n`}\n[${table}]\n${line}`;
}

/** Return a value as it stands in the text; undefined if it does not. */
export function valueIn(text, path) {
  const found = places(text).values.get(path);
  return found && text.slice(found.start, found.end);
}

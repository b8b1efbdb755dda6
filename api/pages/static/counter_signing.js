// The tablet's own key: made in this browser, which never gives it out. If the operator registers its public half, what
// the tablet sends is signed as docs/access.md says (RFC 9421 with Ed25519).

const PATH = "/v1/events"; // where the server passes it on to; the signature covers that
const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));

export class Signer {
  // Returns null in a browser that cannot make such keys.
  static async open(scans, { key, publicKey }) {
    try {
      let pair = await scans.setting("signing");
      if (!pair) {
        pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
        await scans.set("signing", pair);
      }
      const signer = new Signer();
      signer.key = key;
      signer.pair = pair;
      signer.isRegistered = base64(await crypto.subtle.exportKey("raw", pair.publicKey)) === publicKey;
      const spki = base64(await crypto.subtle.exportKey("spki", pair.publicKey));
      signer.pem = `-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`;
      return signer;
    } catch {
      return null;
    }
  }

  // The headers that sign a post of this body. `created`: seconds since 1970 by the server's clock.
  async headers(body, query, created) {
    const bytes = new TextEncoder();
    const digest = `sha-256=:${base64(await crypto.subtle.digest("SHA-256", bytes.encode(body)))}:`;
    const covered = [["@method", "POST"], ["@path", PATH], ...(query ? [["@query", query]] : []), ["content-digest", digest]];
    const names = covered.map(([name]) => `"${name}"`).join(" ");
    const input = `(${names});created=${created};keyid="${this.key}";alg="ed25519"`;
    const base = [...covered, ["@signature-params", input]].map(([name, value]) => `"${name}": ${value}`).join("\n");
    const signature = await crypto.subtle.sign("Ed25519", this.pair.privateKey, bytes.encode(base));
    return { "Content-Digest": digest, "Signature-Input": `tablet=${input}`, Signature: `tablet=:${base64(signature)}:` };
  }
}

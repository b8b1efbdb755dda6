// Verifies credentials with @digitalbazaar/vc, offline: contexts come from a folder, keys from did:key.
// Reads a JSON array of credentials on standard input; writes an array of true and false.
import { readFileSync } from "node:fs";
import { DataIntegrityProof } from "@digitalbazaar/data-integrity";
import * as Ed25519Multikey from "@digitalbazaar/ed25519-multikey";
import { cryptosuite } from "@digitalbazaar/eddsa-rdfc-2022-cryptosuite";
import * as vc from "@digitalbazaar/vc";

const folder = process.argv[2];
const contexts = {
  "https://www.w3.org/ns/credentials/v2": "credentials-v2.json",
  "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json": "ob-v3p0-context-3.0.3.json",
};

async function documentLoader(url) {
  if (contexts[url]) {
    return { documentUrl: url, document: JSON.parse(readFileSync(`${folder}/${contexts[url]}`, "utf8")) };
  }
  if (url.startsWith("did:key:")) {
    const [did] = url.split("#");
    const id = `${did}#${did.slice("did:key:".length)}`;
    const key = await Ed25519Multikey.from({ type: "Multikey", id, controller: did, publicKeyMultibase: id.split("#")[1] });
    const method = await key.export({ publicKey: true, includeContext: true });
    const context = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"];
    const document = url.includes("#") ? method : { "@context": context, id: did, assertionMethod: [method] };
    return { documentUrl: url, document };
  }
  throw new Error(`not known here: ${url}`);
}

const answers = [];
for (const credential of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const suite = new DataIntegrityProof({ cryptosuite });
    const result = await vc.verifyCredential({ credential, suite, documentLoader });
    if (!result.verified && process.env.WHY) console.error(JSON.stringify(result.error, null, 1), result.error?.errors);
    answers.push(result.verified);
  } catch (error) {
    if (process.env.WHY) console.error(error);
    answers.push(false);
  }
}
process.stdout.write(JSON.stringify(answers));

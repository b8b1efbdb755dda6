// Appends streams with Emmett: node append.mjs CONNECTIONS SECONDS. Each line of standard input is a call, a new stream
// with its events. Prints how many events were written, and the seconds from the first call to the last answer.

import { createInterface } from "node:readline";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";

const [connections, seconds] = process.argv.slice(2).map(Number);
const calls = [];
for await (const line of createInterface({ input: process.stdin })) calls.push(JSON.parse(line));

const pool = new pg.Pool({ max: connections }); // finds the server by PGHOST and the like
const store = getPostgreSQLEventStore("", { connectionOptions: { pool } });
await store.schema.migrate();

let next = 0;
let written = 0;
const begun = performance.now();

async function handOver() {
  while (next < calls.length && performance.now() - begun < 1000 * seconds) {
    const { stream, events } = calls[next++];
    // Version 0 is held to the stream; this release takes STREAM_DOES_NOT_EXIST for any version.
    await store.appendToStream(stream, events, { expectedStreamVersion: 0n });
    written += events.length;
  }
}

await Promise.all(Array.from({ length: connections }, handOver));
console.log(JSON.stringify({ events: written, seconds: (performance.now() - begun) / 1000 }));
await store.close();
await pool.end();

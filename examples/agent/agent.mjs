// A host agent in small: virtual machines over HTTP on a unix socket. Run it as root:
//   node agent.mjs --socket S --dir D --bridge B --subnet N --kernel K --initramfs I
//   POST /vms/ID {download, upload}              boots a machine
//   POST /vms/ID/snapshot                        saves and releases it
//   POST /snapshots/SNAPSHOT/fork/ID {download, upload}
//   POST /vms/ID/standby, POST /vms/ID/restore   with the same identity
//   POST /vms/ID/run {command}                   in the guest
//   DELETE /vms/ID, GET /vms, GET /statistics
// Every span is a line on stderr. SIGTERM releases all machines.

import { mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { openNetwork } from "forknet";
import { Machines } from "./machines.mjs";

const text = /** @type {const} */ ({ type: "string" });
const { values } = parseArgs({
  options: { socket: text, dir: text, bridge: text, subnet: text, kernel: text, initramfs: text },
});

/** @param {keyof typeof values} name */
function given(name) {
  const value = values[name];
  if (value === undefined) throw new Error(`Expected --${name}`);
  return value;
}

/** @type {import("@opentelemetry/sdk-trace-base").SpanExporter} */
const lines = {
  export(spans, done) {
    for (const span of spans) {
      const { name, attributes, duration, parentSpanContext } = span;
      const { traceId, spanId } = span.spanContext();
      const ms = duration[0] * 1e3 + duration[1] / 1e6;
      const under = parentSpanContext?.spanId;
      process.stderr.write(`${JSON.stringify({ name, ms, traceId, spanId, under, attributes })}\n`);
    }
    done({ code: 0 });
  },
  async shutdown() {},
};
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(lines)] }),
);

const dir = given("dir");
mkdirSync(dir, { recursive: true, mode: 0o700 });
const network = await openNetwork({
  bridge: given("bridge"),
  subnet: given("subnet"),
  stateDir: `${dir}/state`,
  // A forked machine passes nothing before its own limits hold.
  unshaped: "block",
});
const image = { kernel: given("kernel"), initramfs: given("initramfs") };
const machines = new Machines(network, image, dir);

/**
 * What can be asked: method and path, and what is done with its parts and the body.
 * @type {[string, RegExp, (parts: string[], body: any) => Promise<unknown>][]}
 */
const routes = [
  ["GET", /^\/vms$/, async () => network.listAllocations()],
  ["GET", /^\/statistics$/, () => network.statistics()],
  ["POST", /^\/vms\/(\w[\w.-]*)$/, ([id = ""], limits) => machines.create(id, limits)],
  ["POST", /^\/vms\/(\w[\w.-]*)\/snapshot$/, ([id = ""]) => machines.snapshot(id)],
  [
    "POST",
    /^\/snapshots\/(\w[\w.-]*)\/fork\/(\w[\w.-]*)$/,
    ([snapshot = "", id = ""], limits) => machines.fork(snapshot, id, limits),
  ],
  ["POST", /^\/vms\/(\w[\w.-]*)\/standby$/, ([id = ""]) => machines.standby(id)],
  ["POST", /^\/vms\/(\w[\w.-]*)\/restore$/, ([id = ""]) => machines.restore(id)],
  ["POST", /^\/vms\/(\w[\w.-]*)\/run$/, ([id = ""], { command }) => machines.run(id, command)],
  ["DELETE", /^\/vms\/(\w[\w.-]*)$/, ([id = ""]) => machines.release(id)],
];

/** @param {import("node:http").IncomingMessage} request */
async function answer(request) {
  for (const [method, path, handle] of routes) {
    const match = request.method === method && path.exec(request.url ?? "");
    if (!match) continue;
    const body = request.headers["content-type"] ? await json(request) : {};
    return { status: 200, value: (await handle(match.slice(1), body)) ?? null };
  }
  return { status: 404, value: { message: `There is no ${request.method} ${request.url}` } };
}

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
async function serve(request, response) {
  /** @type {{ status: number, value: unknown }} */
  let reply;
  try {
    reply = await answer(request);
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    reply = { status: 500, value: { code, message } };
  }
  response.writeHead(reply.status, { "content-type": "application/json" });
  response.end(JSON.stringify(reply.value));
}

const server = createServer((request, response) => void serve(request, response));
const socket = given("socket");
rmSync(socket, { force: true });
// Whoever can connect owns the machines.
process.umask(0o077);
server.listen(socket);

async function end() {
  server.close();
  await machines.close();
  await network.destroy();
}
process.once("SIGTERM", () => void end());

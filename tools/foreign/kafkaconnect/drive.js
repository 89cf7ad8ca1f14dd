// Drives the life of a connector through the npm package kafka-connect-client, and checks every
// answer. Argument: {"modules": folder, "port": of Weir, "receiver": URL}. It writes "send ID" and
// "want ID" lines, and reads "ok" for each: who runs it sends webhooks and watches what arrives.
"use strict";
const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const c = JSON.parse(process.argv[2]);
const { KafkaConnectClient, ConnectorClient } = createRequire(c.modules + "/")("kafka-connect-client");

const lines = require("node:readline").createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function tell(what, id) {
  process.stdout.write(`${what} ${id}\n`);
  const { value, done } = await lines.next();
  assert.ok(!done && value === "ok", `${what} ${id}: ${value}`);
}

// answered gives the data of an answer with this status.
async function answered(status, promise) {
  const answer = await promise;
  assert.equal(answer.status, status, JSON.stringify(answer.data));
  return answer.data;
}

// refused checks the form of an error, and what it says.
async function refused(status, says, promise) {
  const error = await promise.then((a) => assert.fail(`answers ${a.status}`), (e) => e);
  assert.ok(error.response, String(error));
  assert.equal(error.response.status, status, JSON.stringify(error.response.data));
  assert.deepEqual(Object.keys(error.response.data).sort(), ["error_code", "message"]);
  assert.equal(error.response.data.error_code, status);
  assert.match(error.response.data.message, says);
}

// becomes asks until an answer is as it should be: changes of state are not made at once.
async function becomes(ask, check) {
  for (const end = Date.now() + 30000; ; await new Promise((r) => setTimeout(r, 20))) {
    try {
      return check(await ask());
    } catch (e) {
      if (Date.now() > end) throw e;
    }
  }
}

async function drive() {
  const at = { host: "127.0.0.1", port: c.port };
  const client = new KafkaConnectClient(at);
  const name = "things-out";
  const sink = client.connector(name);
  assert.ok(sink instanceof ConnectorClient);
  const config = {
    "connector.class": "http", topics: "in.things", "tasks.max": "1", "callback.request.url": c.receiver,
    "callback.request.method": "POST", "sasl.jaas.config": 'x required password="canary-password";',
  };
  const shown = { ...config, name, "sasl.jaas.config": "***" };
  const status = (state, tasks) => becomes(() => answered(200, sink.getStatus()), (s) => {
    assert.equal(s.name, name);
    assert.equal(s.type, "sink");
    assert.equal(s.connector.state, state);
    assert.ok(s.connector.worker_id);
    assert.deepEqual(s.tasks.map((t) => [t.id, t.state]), tasks);
  });

  // What is there.
  const cluster = await answered(200, client.getCluster());
  assert.deepEqual(Object.keys(cluster).sort(), ["commit", "kafka_cluster_id", "version"]);
  const plugins = await answered(200, client.getConnectorPlugins());
  assert.ok(plugins.some((p) => p.class === "http" && p.type === "sink"), JSON.stringify(plugins));
  const all = await answered(200, client.getConnectorPlugins({ connectorsOnly: false }));
  assert.ok(all.length >= plugins.length);
  assert.deepEqual(await answered(200, client.getConnectors()), ["in"]);

  // Validate.
  const good = await answered(200, client.validateConnectorConfig("http", { ...config, name }));
  assert.equal(good.name, "http");
  assert.equal(good.error_count, 0, JSON.stringify(good));
  assert.ok(!JSON.stringify(good).includes("canary"));
  const bad = await answered(200, client.validateConnectorConfig("http", { ...config, name, timeout_seconds: "soon" }));
  assert.equal(bad.error_count, 1);
  assert.deepEqual(bad.configs.filter((k) => k.value.errors.length > 0).map((k) => k.value.name), ["timeout_seconds"]);
  await refused(404, /Unknown plugin nothing/, client.validateConnectorConfig("nothing", config));

  // Create, a duplicate, information, configuration, status, tasks.
  const made = await answered(201, client.createConnector(name, config));
  assert.deepEqual(made, { name, config: shown, tasks: [{ connector: name, task: 0 }], type: "sink" });
  await refused(409, /already exists/, client.createConnector(name, config));
  await refused(400, /find the above list of errors/, client.createConnector("other", { ...config, timeout_seconds: "soon" }));
  assert.deepEqual(await answered(200, sink.get()), made);
  assert.deepEqual(await answered(200, sink.getConfig()), shown);
  await status("RUNNING", [[0, "RUNNING"]]);
  const tasks = await answered(200, sink.getTasks());
  assert.deepEqual(tasks.map((t) => t.id), [{ connector: name, task: 0 }]);
  const task = await answered(200, sink.getTaskStatus(0));
  assert.deepEqual([task.id, task.state], [0, "RUNNING"]);
  assert.deepEqual((await answered(200, client.getConnectors())).sort(), ["in", name]);
  const expanded = await answered(200, client.getConnectors({ expand: "status" }));
  assert.equal(expanded[name].status.name, name);
  assert.ok(!("info" in expanded[name]));

  // Offsets can be set before anything was recorded.
  const offsets = (next) => [{ partition: { kafka_topic: "in.things", kafka_partition: 0 }, offset: { kafka_offset: next } }];
  await answered(204, sink.stop());
  await status("STOPPED", []);
  await refused(400, /at most 1/, sink.alterOffsets(offsets(2)));
  await refused(400, /does not read topic in.other/, sink.alterOffsets([{ partition: { kafka_topic: "in.other", kafka_partition: 0 }, offset: null }]));
  await answered(200, sink.alterOffsets(offsets(1)));
  await answered(200, sink.resetOffsets());
  await answered(202, sink.resume());
  await tell("send", "a");
  await tell("want", "a");

  // Pause, resume, restart. The client sends the options of restart as a body, which says nothing.
  await answered(202, sink.pause());
  await status("PAUSED", [[0, "PAUSED"]]);
  await tell("send", "b");
  await answered(202, sink.resume());
  await tell("want", "b");
  await status("RUNNING", [[0, "RUNNING"]]);
  await answered(204, sink.restart());
  await answered(204, sink.restart({ includeTasks: true, onlyFailed: false }));
  await answered(204, sink.restartTask(0));
  await status("RUNNING", [[0, "RUNNING"]]);

  // Topics. The client takes the text of this answer for an object, and fails by itself.
  await assert.rejects(sink.getTopics(), TypeError);
  await refused(403, /./, sink.resetTopics());

  // Offsets, and stop.
  await becomes(() => answered(200, sink.getOffsets()), (o) => assert.deepEqual(o, { offsets: offsets(3) }));
  await refused(400, /must be in the STOPPED state/, sink.alterOffsets(offsets(2)));
  await refused(400, /must be in the STOPPED state/, sink.resetOffsets());
  await answered(204, sink.stop());
  await status("STOPPED", []);
  const altered = await answered(200, sink.alterOffsets(offsets(2)));
  assert.equal(altered.message, "The offsets for this connector have been altered successfully");
  assert.deepEqual(await answered(200, sink.getOffsets()), { offsets: offsets(2) });
  await answered(202, sink.resume());
  await tell("want", "b");
  await answered(204, sink.stop());
  await status("STOPPED", []);
  const reset = await answered(200, sink.resetOffsets());
  assert.equal(reset.message, "The offsets for this connector have been reset successfully");
  assert.deepEqual(await answered(200, sink.getOffsets()), { offsets: offsets(1) });
  await answered(202, sink.resume());
  await tell("want", "a");
  await tell("want", "b");

  // Reconfigure: what was read can be written back, secrets too.
  const changed = await answered(200, sink.updateConfig({ ...(await answered(200, sink.getConfig())), "callback.request.method": "PUT" }));
  assert.deepEqual(changed.config, { ...shown, "callback.request.method": "PUT" });
  await tell("send", "c");
  await tell("want", "c");
  await refused(400, /timeout_seconds/, sink.updateConfig({ ...config, timeout_seconds: "soon" }));

  // Another one is made by its configuration; both are deleted.
  const second = client.connector("second");
  assert.equal((await answered(201, second.create({ ...config, start: "latest" }))).name, "second");
  await answered(204, second.delete());
  await answered(204, sink.delete());
  for (const method of ["get", "getConfig", "getStatus", "getTasks", "getOffsets", "pause", "resume", "stop", "restart", "delete"]) {
    await refused(404, /things-out/, sink[method]());
  }
  assert.deepEqual(await answered(200, client.getConnectors()), ["in"]);

  // Every method was called.
  const called = new Set(require("node:fs").readFileSync(__filename, "utf8").match(/\b(client|sink|second)\.\w+(?=\()/g).map((m) => m.split(".")[1]));
  for (const one of [KafkaConnectClient, ConnectorClient]) {
    for (const method of Object.getOwnPropertyNames(one.prototype)) {
      assert.ok(method === "constructor" || called.has(method), `${method} is not driven`);
    }
  }
}

drive().then(() => process.stdout.write("driven\n") && process.exit(0), (e) => {
  process.stderr.write(`${e.stack}\n`);
  process.exit(1);
});

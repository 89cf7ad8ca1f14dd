// Holds signatures to the verifiers of npm packages: one JSON object on standard input, the answer
// "true" or "false" on standard output.
"use strict";
const { createRequire } = require("module");
const c = JSON.parse(require("fs").readFileSync(0, "utf8"));
const load = createRequire(c.modules + "/");
const body = Buffer.from(c.body, "base64").toString("utf8");

async function verify() {
  switch (c.package) {
    case "square":
      return load("square").WebhooksHelper.verifySignature({
        requestBody: body, signatureHeader: c.signature, signatureKey: c.key, notificationUrl: c.url,
      });
    case "discord-interactions":
      return load("discord-interactions").verifyKey(body, c.signature, c.timestamp, c.key);
    case "@sendgrid/eventwebhook": {
      const { EventWebhook } = load("@sendgrid/eventwebhook");
      const e = new EventWebhook();
      return e.verifySignature(e.convertPublicKeyToECDSA(c.key), body, c.signature, c.timestamp);
    }
    case "standardwebhooks": {
      const { Webhook } = load("standardwebhooks");
      try {
        new Webhook(c.key).verify(body, { "webhook-id": c.id, "webhook-timestamp": c.timestamp, "webhook-signature": c.signature });
        return true;
      } catch {
        return false;
      }
    }
  }
  throw new Error("unknown package " + c.package);
}

verify().then((ok) => process.stdout.write(String(ok === true)));

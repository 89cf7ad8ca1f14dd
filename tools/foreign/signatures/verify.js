// Holds signatures to the verifiers of npm packages: one JSON object on standard input, the answer
// "true" or "false" on standard output.
"use strict";
const { createRequire } = require("module");
const c = JSON.parse(require("fs").readFileSync(0, "utf8"));
const load = c.modules && createRequire(c.modules + "/");
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
    case "sns-validator": {
      // The validator fetches the certificate itself; what it would get from Amazon is given here.
      require("https").get = (address, answered) => {
        const { EventEmitter } = require("events");
        const response = Object.assign(new EventEmitter(), { statusCode: 200 });
        setImmediate(() => {
          answered(response);
          response.emit("data", Buffer.from(c.certificate));
          response.emit("end");
        });
        return new EventEmitter();
      };
      const MessageValidator = load("sns-validator");
      const validator = new MessageValidator();
      // A list of messages, since a process for each would take long; they are good or bad together.
      const all = await Promise.all(JSON.parse(body).map((m) => new Promise((done) => validator.validate(m, (problem) => done(!problem)))));
      if (new Set(all).size !== 1) throw new Error("the validator takes some of the messages only: " + all);
      return all[0];
    }
    case "paypal": {
      // No package of PayPal's verifies by itself: this is the formula of its documentation, with
      // the digest, the checksum and the certificates of Node.
      const text = [c.id, c.time, c.webhook, require("zlib").crc32(Buffer.from(c.body, "base64"))].join("|");
      return require("crypto").createVerify("RSA-SHA256").update(text).verify(c.certificate, c.signature, "base64");
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

// A bot for the WhatsApp Cloud API as it runs against Meta, for tests: node cloud-bot.mjs
//
// Knows nothing but Meta's interface: signed webhooks in, the Graph API out. Its environment: PORT, GRAPH_URL,
// ACCESS_TOKEN, PHONE_NUMBER_ID, APP_SECRET.
//
// Says on standard output: {"is": "listening"} {"is": "forged"} {"is": "message", "message": …, "value": …}
//   {"is": "status", "status": …} {"is": "sent", "status": …, "answer": …}
// Does what standard input tells it: {"send": BODY-OF-A-MESSAGE}
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const { PORT, GRAPH_URL, ACCESS_TOKEN, PHONE_NUMBER_ID, APP_SECRET } = process.env;
const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));

const send = async (body) => {
  const answer = await fetch(`${GRAPH_URL}/v23.0/${PHONE_NUMBER_ID}/messages`, {
    method: "POST",
    headers: { Authorization: `Bearer ${ACCESS_TOKEN}`, "Content-Type": "application/json" },
    body: JSON.stringify({ messaging_product: "whatsapp", recipient_type: "individual", ...body }),
  });
  say("sent", { status: answer.status, answer: await answer.json() });
};

const isMetas = (raw, header = "") => {
  const expected = Buffer.from(`sha256=${createHmac("sha256", APP_SECRET).update(raw).digest("hex")}`);
  const given = Buffer.from(header);
  return given.length === expected.length && timingSafeEqual(given, expected);
};

const take = async ({ value }) => {
  for (const status of value.statuses ?? []) say("status", { status });
  for (const message of value.messages ?? []) {
    say("message", { message, value });
    if (message.type === "text") {
      const text = { body: `Eco: ${message.text.body}` };
      await send({ to: message.from, type: "text", text, context: { message_id: message.id } });
    }
  }
};

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const raw = Buffer.concat(parts);
  if (!isMetas(raw, request.headers["x-hub-signature-256"])) {
    say("forged");
    return response.writeHead(401).end();
  }
  response.writeHead(200).end();
  for (const { changes } of JSON.parse(raw).entry) for (const change of changes) await take(change);
});

server.listen(Number(PORT), "127.0.0.1", () => say("listening"));
createInterface({ input: process.stdin })
  .on("line", (line) => send(JSON.parse(line).send))
  .on("close", () => process.exit());

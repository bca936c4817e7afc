// A bot that answers WhatsApp messages through a shared client, as its team runs it: node bot-responder.mjs
//
// Knows nothing but what that bot knows: it registers its callback with the client when it starts, is posted each message,
// and answers through the client. Its environment: PORT, MASSIVE_SENDER_URL, RESPONDER_CALLBACK_URL, WHATSAPP_API_KEY.
//
// Says on standard output: {"is": "registered", "answer": …} {"is": "refused", "status": …}
//   {"is": "message", "message": …, "headers": …}   {"is": "sent", "status": …, "answer": …}
// Does what standard input tells it: {"do": "register"} {"do": "fail", "times": N} {"do": "status"} {"send": TEXT, "to": NUMBER}
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const { PORT = "3013", MASSIVE_SENDER_URL, RESPONDER_CALLBACK_URL, WHATSAPP_API_KEY } = process.env;
const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));

class SharedWhatsAppClient {
  async call(method, path, body) {
    const headers = { "Content-Type": "application/json", "x-api-key": WHATSAPP_API_KEY };
    const answer = await fetch(`${MASSIVE_SENDER_URL}${path}`, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, answer: await answer.json() };
  }

  async initialize() {
    const { status, answer } = await this.call("POST", "/api/whatsapp/register-listener", { url: RESPONDER_CALLBACK_URL });
    say(status === 200 ? "registered" : "refused", { status, answer });
  }

  async sendMessage(to, message) {
    say("sent", await this.call("POST", "/api/whatsapp/send", { to, message }));
  }

  async status() {
    return (await this.call("GET", "/api/whatsapp/status")).answer;
  }
}

const client = new SharedWhatsAppClient();
let failures = 0;

const read = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
};

const server = createServer(async (request, response) => {
  const end = (status, body) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  if (request.url === "/api/status") {
    return end(200, { bot: "WhatsApp Bot Responder", status: "running", whatsapp: await client.status() });
  }
  if (request.url !== "/api/message-received") return end(404, {});
  const raw = await read(request);
  if (failures > 0) {
    failures -= 1;
    return end(500, { error: "not now" });
  }
  const message = JSON.parse(raw);
  say("message", { message, raw, headers: request.headers });
  end(200, { success: true });
  await client.sendMessage(message.from, `Respuesta a: ${message.body}`);
});

const obey = async (command) => {
  if (command.do === "register") return client.initialize();
  if (command.do === "fail") return void (failures = command.times);
  if (command.do === "status") return say("status", { status: await client.status() });
  return client.sendMessage(command.to, command.send);
};

server.listen(Number(PORT), "127.0.0.1", () => client.initialize());
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit());

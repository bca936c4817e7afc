// The front end of a WhatsApp number's owner, for tests: node whatsapp-web.mjs URL TOKEN
//
// Knows nothing but what that front end knows: WebSocket only, `join` on every connect, and five events.
//
// Says on standard output: {"is": "connect"} {"is": "disconnect", "reason": …}
//   {"is": NAME, "payload": …} for each of qr-code, session-ready, session-closed, chats-updated, message-sent, error
// Does what standard input tells it:
//   {"do": "get-qr"}  {"send": TEXT, "to": EXTERNAL-ID}  {"do": "break"}
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, token] = process.argv.slice(2);
const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));
const socket = io(url, { transports: ["websocket"], reconnectionDelay: 20, reconnectionDelayMax: 50 });

socket.on("connect", () => {
  say("connect");
  socket.emit("join", { token });
});
socket.on("disconnect", (reason) => say("disconnect", { reason }));
for (const name of ["qr-code", "session-ready", "session-closed", "chats-updated", "message-sent", "error"])
  socket.on(name, (payload) => say(name, { payload }));

const obey = (command) => {
  if (command.do === "get-qr") return socket.emit("get-qr", { token });
  if (command.do === "break") return socket.io.engine.close();
  socket.emit("send-message", { token, conversationId: command.to, textContent: command.send, attachments: [] });
};

createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit());

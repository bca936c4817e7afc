// A front end with users and agents, for tests: node chat.mjs URL TOKEN [OPTIONS-AS-JSON]
//
// Knows nothing but what such front ends know: the subprotocol beside the token, frames {"event": …}, and to connect
// again when the connection ends. Options: {"user": ID of the token's user, "reconnect": false, "query": "since=…"}.
//
// Says on standard output, one JSON object a line, what happens to it:
//   {"is": "open", "protocol": …} {"is": "close", "code": …, "reason": …} {"is": "failed"}
//   {"is": "event", "name": …, "frame": {…}} {"is": "error", "frame": {"error": …}}
// Does what standard input tells it:
//   {"write": TEXT, "chat": ID}   a user's message     {"answer": TEXT, "chat": ID}  an agent's message
//   {"read": MESSAGE, "chat": ID} {"typing": BOOLEAN, "chat": ID} {"open_chat": true} {"close_chat": ID}
//   {"bot": null} begins the guided flow, {"bot": TEXT} goes on with it
//   {"frame": {…}} sends a frame as it is, {"text": TEXT} what may be none
//   {"do": "disconnect"} leaves for good, {"do": "break"} ends the connection, which is opened again
import { createInterface } from "node:readline";

// Node has the browser's WebSocket from version 22 on; before that the package is what socket.io-client brings along.
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;

const [url, token, options = "{}"] = process.argv.slice(2);
const { user, reconnect = true, query } = JSON.parse(options);
const RECONNECT_MS = 100;

const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));
let socket;
let leaving = !reconnect;

const connect = () => {
  socket = new WebSocket(query ? `${url}?${query}` : url, ["echo-protocol", token]);
  socket.onopen = () => say("open", { protocol: socket.protocol });
  socket.onerror = () => say("failed");
  socket.onclose = ({ code, reason }) => {
    say("close", { code, reason });
    if (!leaving) setTimeout(connect, RECONNECT_MS);
  };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.error) return say("error", { frame });
    say("event", { name: frame.event, frame });
  };
};

const send = (frame) => socket.send(JSON.stringify(frame));

const obey = (command) => {
  const chat_id = command.chat;
  if (command.do === "disconnect") leaving = true;
  if (command.do) return socket.close();
  if (command.frame) return send(command.frame);
  if ("text" in command) return socket.send(command.text);
  if ("write" in command)
    return send({
      event: "chat_message",
      chat_id,
      sender_id: user,
      sender_type: "USER",
      message: command.write,
      status: "sent",
    });
  if ("answer" in command) return send({ event: "agent_chat_message", chat_id, message: command.answer });
  if ("read" in command) return send({ event: "message_read", chat_id, message_id: command.read });
  if ("typing" in command) return send({ event: command.typing ? "typing" : "stop_typing", chat_id });
  if ("open_chat" in command) return send({ event: "open_chat" });
  if ("close_chat" in command) return send({ event: "close_chat", chat_id: command.close_chat });
  if ("bot" in command)
    return send(
      command.bot === null ? { event: "chatbot_init" } : { source: "chatbot", message: command.bot },
    );
};

connect();
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit());

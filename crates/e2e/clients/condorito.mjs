// The CRM's WebSocket service, for tests: node condorito.mjs URL
//
// Knows nothing but what that service knows: one connection for all components, frames {type, data}, states, and to
// connect again after 2^attempt times a base pause. The token stands in the URL.
//
// Says on standard output: {"is": "state", "state": "connecting" | "connected" | "disconnected" | "error"}
//   {"is": TYPE, "data": {…}} for each frame
// Does what standard input tells it:
//   {"send": {…}}  sendMessage        {"do": "break"}  the connection ends, the service connects again
import { createInterface } from "node:readline";

// Node has the browser's WebSocket from version 22 on; before that the package stands in.
const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;

const PAUSE_MS = 10;
const MAX_RECONNECT_ATTEMPTS = 10;
const [url] = process.argv.slice(2);
const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));
let socket;
let attempt = 0;

const connect = () => {
  say("state", { state: "connecting" });
  socket = new WebSocket(url);
  socket.onopen = () => {
    attempt = 0;
    say("state", { state: "connected" });
  };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    say(frame.type, { data: frame.data });
  };
  socket.onerror = () => say("state", { state: "error" });
  socket.onclose = () => {
    say("state", { state: "disconnected" });
    if (attempt < MAX_RECONNECT_ATTEMPTS) setTimeout(connect, 2 ** attempt++ * PAUSE_MS);
  };
};

connect();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    return command.do === "break" ? socket.close() : socket.send(JSON.stringify(command.send));
  })
  .on("close", () => process.exit());

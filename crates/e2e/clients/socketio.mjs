// A Socket.IO client for tests: node socketio.mjs URL [OPTIONS-AS-JSON]
//
// Says on standard output, one JSON object a line, what happens to it. Does what standard input tells it:
//   {"emit": NAME, "arguments": […]}              sends an event
//   {"emit": NAME, "arguments": […], "ack": true} sends one and says {"is": "ack", "arguments": […]}
//   {"emit": NAME, "size": N}                     sends one with a text of N characters
//   {"do": "disconnect"} | {"do": "break"}        leaves politely, or closes the transport under the socket
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, options = "{}"] = process.argv.slice(2);
const socket = io(url, { forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 20, ...JSON.parse(options) });

const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));
const transport = () => socket.io.engine.transport.name;

socket.on("connect", () => say("connect", { id: socket.id, transport: transport(), recovered: socket.recovered }));
socket.on("connect_error", ({ message, data }) => say("connect_error", { message, data }));
socket.on("disconnect", (reason) => say("disconnect", { reason }));
socket.onAny((name, ...args) => say("event", { name, arguments: args }));
socket.io.on("open", () => socket.io.engine.on("upgrade", () => say("upgrade", { transport: transport() })));

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  if (command.do === "disconnect") return socket.disconnect();
  if (command.do === "break") return socket.io.engine.close();
  const args = command.size ? ["x".repeat(command.size)] : command.arguments;
  if (command.ack) args.push((...answer) => say("ack", { arguments: answer }));
  socket.emit(command.emit, ...args);
});

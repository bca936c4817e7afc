// The web widget of a contact as its page runs it, for tests: node konecte.mjs URL PHONE
//
// Knows nothing but what that page knows: a query parameter `userPhone`, the event `bot-response`, to disconnect when
// the page is left, and to connect anew when the phone changes.
//
// Says on standard output: {"is": "connect"} {"is": "disconnect", "reason": …}
//   {"is": "message", "text": …, "sender": …, "at": UNIX-MILLISECONDS}
// Does what standard input tells it:
//   {"phone": PHONE}       the page is shown for another contact
//   {"write": TEXT}        the contact types
//   {"do": "unmount"}      the page is left     {"do": "break"}   the network breaks, the library connects again
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, phone] = process.argv.slice(2);
const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));
let socket;

const mount = (userPhone) => {
  socket = io(url, { query: { userPhone }, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
  socket.on("connect", () => say("connect"));
  socket.on("disconnect", (reason) => say("disconnect", { reason }));
  socket.on("bot-response", ({ text, sender, timestamp }) =>
    say("message", { text, sender, at: new Date(timestamp).getTime() }),
  );
};

const unmount = () => socket.disconnect();

const obey = (command) => {
  if (command.write) return socket.emit("user-message", { text: command.write });
  if (command.do === "break") return socket.io.engine.close();
  unmount();
  if (command.phone) mount(command.phone);
};

mount(phone);
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit());

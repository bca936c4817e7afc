// A page that listens with EventSource, for tests: node sse.mjs URL
//
// Knows nothing but what such pages know: the names of the events, and that the library connects again by itself and
// says what it saw last.
//
// Says on standard output, one JSON object a line, what happens to it:
//   {"is": "open"} {"is": "error", "status": …, "final": BOOLEAN} {"is": "event", "name": …, "id": …, "frame": {…}}
// Ends when standard input does.
import { EventSource } from "eventsource";

const NAMES = [
  "connected",
  "new_message",
  "message_status_updated",
  "conversation_updated",
  "stats_updated",
  "token_expiring",
  "closing",
];

const say = (is, rest) => console.log(JSON.stringify({ is, ...rest }));
const source = new EventSource(process.argv[2]);
source.onopen = () => say("open");
source.onerror = ({ code }) => say("error", { status: code, final: source.readyState === EventSource.CLOSED });
for (const name of NAMES) {
  source.addEventListener(name, ({ data, lastEventId }) => {
    const frame = JSON.parse(data);
    say("event", { name, id: lastEventId, frame });
    if (name === "closing" && !frame.data.reconnect) source.close();
  });
}

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

// Read a stream with the `eventsource` package: `node read.js URL`. Each event is a line of JSON: its id, its data.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
source.onmessage = ({ lastEventId, data }) => console.log(JSON.stringify([lastEventId, data]));
// The gateway's 204 after the last event closes it, and Node ends, having nothing left to do.
source.onerror = (error) => console.error(error.code, error.message, source.readyState);

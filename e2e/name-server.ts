// A name server for the internet of a run: says the same address of every name. Prints a line when it is ready and
// serves until it is killed.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { ADDRESS, answerTo } from "./name.js";

const socket = createSocket("udp4");
socket.on("message", (query, { address, port }) => {
  const answer = answerTo(query);
  if (answer) socket.send(answer, port, address);
});
socket.bind(53);
await once(socket, "listening");
console.log(`every name is ${ADDRESS}`);

// The one name that guests look up, and the answer of RFC 1035 to any question of one name.

export const NAME = "guests.example";
export const ADDRESS = "192.0.2.80";

const HEADER_BYTES = 12;
/** Type A, class IN: anything else of that name does not exist. */
const ADDRESS_OF_NAME = Buffer.from([0, 1, 0, 1]);
const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const ID_AT = 0;
const FLAGS_AT = 2;
const ANSWERS_AT = 6;
/** A pointer to the question's name, type A, class IN, a minute, four bytes. */
const RECORD_HEAD = Buffer.from([0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);

/** undefined when it is no question of a name. */
export function answerTo(query: Buffer): Buffer | undefined {
  const nameEnd = query.indexOf(0, HEADER_BYTES);
  if (nameEnd === -1 || query.length < nameEnd + 5) return undefined;
  const typeAndClass = query.subarray(nameEnd + 1, nameEnd + 5);
  const isAsked = typeAndClass.equals(ADDRESS_OF_NAME);
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, ID_AT, ID_AT, 2);
  header.writeUInt16BE(FLAG_RESPONSE | FLAG_AUTHORITATIVE, FLAGS_AT);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(isAsked ? 1 : 0, ANSWERS_AT);
  const question = query.subarray(HEADER_BYTES, nameEnd + 5);
  const record = Buffer.concat([RECORD_HEAD, Buffer.from(ADDRESS.split(".").map(Number))]);
  return Buffer.concat(isAsked ? [header, question, record] : [header, question]);
}

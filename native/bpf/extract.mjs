// Turns the ELF object clang makes of guard.bpf.c into programs.generated.h: the instructions of each program, which
// of them load which map, and which want to know what of the running kernel's types. Usage: node extract.mjs OBJECT COMPILER > programs.generated.h
import { readFileSync } from "node:fs";

const SHT_SYMTAB = 2;
const SHT_REL = 9;
const STT_FUNC = 2;
const R_BPF_64_64 = 1;
const R_BPF_64_32 = 10;
/** The section of what is not in the object. */
const UNDEFINED = 0;
/** What the symbol of a number of the kernel's begins with (pending.bpf.h), and how insn.h calls that. */
const NUMBERS = { member: "kMember", type: "kType", enumerator: "kEnumerator" };
const INSTRUCTION_BYTES = 8;

const [objectPath, compiler] = process.argv.slice(2);
if (objectPath === undefined || compiler === undefined)
  fail("usage: node extract.mjs OBJECT COMPILER");
const elf = readFileSync(objectPath);

function fail(message) {
  process.stderr.write(`extract.mjs: ${message}\n`);
  process.exit(1);
}

function text(at) {
  return elf.toString("latin1", at, elf.indexOf(0, at));
}

/** Offsets are those of Elf64_Ehdr and Elf64_Shdr; every value here is far below 2^53. */
function readSections() {
  const isElf64Little = elf.readUInt32BE(0) === 0x7f454c46 && elf[4] === 2 && elf[5] === 1;
  if (!isElf64Little || elf.readUInt16LE(18) !== 247)
    fail("Expected a little-endian ELF64 object for BPF");
  const table = Number(elf.readBigUInt64LE(40));
  const sections = [];
  for (let index = 0; index < elf.readUInt16LE(60); index++) {
    const at = table + index * elf.readUInt16LE(58);
    sections.push({
      index,
      nameAt: elf.readUInt32LE(at),
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
      info: elf.readUInt32LE(at + 44),
    });
  }
  const names = sections[elf.readUInt16LE(62)];
  return sections.map((section) => ({ ...section, name: text(names.offset + section.nameAt) }));
}

/** Elf64_Sym is 24 bytes. */
function readSymbols(sections) {
  const table = sections.find((section) => section.type === SHT_SYMTAB) ?? fail("no symbol table");
  const symbols = [];
  for (let at = table.offset; at < table.offset + table.size; at += 24) {
    symbols.push({
      name: text(sections[table.link].offset + elf.readUInt32LE(at)),
      type: elf[at + 4] & 15,
      section: sections[elf.readUInt16LE(at + 6)],
      value: Number(elf.readBigUInt64LE(at + 8)),
      size: Number(elf.readBigUInt64LE(at + 16)),
    });
  }
  return symbols;
}

function readInstructions(program) {
  const instructions = [];
  const start = program.section.offset + program.value;
  for (let at = start; at < start + program.size; at += INSTRUCTION_BYTES) {
    instructions.push({
      code: elf[at],
      destination: elf[at + 1] & 15,
      source: elf[at + 1] >> 4,
      offset: elf.readInt16LE(at + 2),
      immediate: elf.readInt32LE(at + 4),
    });
  }
  return instructions;
}

/**
 * Elf64_Rel is 16 bytes. Only loads of a map's address and what the kernel has are expected: no calls between programs,
 * no global data.
 */
function readRelocations(program, sections, symbols) {
  const found = { maps: [], wants: [] };
  for (const table of sections.filter(
    ({ type, info }) => type === SHT_REL && info === program.section.index,
  )) {
    for (let at = table.offset; at < table.offset + table.size; at += 16) {
      const place = Number(elf.readBigUInt64LE(at)) - program.value;
      if (place < 0 || place >= program.size) continue;
      const symbol = symbols[elf.readUInt32LE(at + 12)];
      const type = elf.readUInt32LE(at + 8);
      const instruction = place / INSTRUCTION_BYTES;
      if (type === R_BPF_64_64 && symbol?.section?.name === ".maps")
        found.maps.push({ instruction, map: symbol.name });
      else if (symbol?.section?.index === UNDEFINED)
        found.wants.push({ instruction, ...readWant(program, type, symbol.name) });
      else
        fail(`${program.name}: Expected maps and the kernel's symbols, but found ${symbol?.name}`);
    }
  }
  for (const list of Object.values(found)) list.sort((a, b) => a.instruction - b.instruction);
  return found;
}

function readWant(program, type, symbol) {
  if (type === R_BPF_64_32) return { kind: "kFunction", name: symbol, member: "" };
  const [prefix, name, member = ""] = symbol.split("__");
  const kind = NUMBERS[prefix] ?? fail(`${program.name}: unknown symbol ${symbol}`);
  return { kind, name, member };
}

const CLASSES = [
  "BPF_LD",
  "BPF_LDX",
  "BPF_ST",
  "BPF_STX",
  "BPF_ALU",
  "BPF_JMP",
  "BPF_JMP32",
  "BPF_ALU64",
];
const SIZES = { 0: "BPF_W", 8: "BPF_H", 16: "BPF_B", 24: "BPF_DW" };
const MODES = { 0: "BPF_IMM", 96: "BPF_MEM", 192: "BPF_ATOMIC" };
// biome-ignore format: by the operation's number, sixteen of them
const ARITHMETIC = ["ADD", "SUB", "MUL", "DIV", "OR", "AND", "LSH", "RSH", "NEG", "MOD", "XOR", "MOV", "ARSH", "END"];
// biome-ignore format: by the operation's number, sixteen of them
const JUMPS = ["JA", "JEQ", "JGT", "JGE", "JSET", "JNE", "JSGT", "JSGE", "CALL", "EXIT", "JLT", "JLE", "JSLT", "JSLE"];

/** The operation as <linux/bpf.h> spells it. */
function operation(code) {
  const kind = code & 7;
  if (kind < 4) return [CLASSES[kind], SIZES[code & 0x18], MODES[code & 0xe0]].join(" | ");
  const names = kind === 5 || kind === 6 ? JUMPS : ARITHMETIC;
  const name = names[code >> 4] ?? fail(`unknown operation 0x${code.toString(16)}`);
  return `${CLASSES[kind]} | BPF_${name} | ${code & 8 ? "BPF_X" : "BPF_K"}`;
}

function writeProgram(program, sections, symbols) {
  const { maps, wants } = readRelocations(program, sections, symbols);
  const noteAt = new Map([
    ...maps.map(({ instruction, map }) => [instruction, map]),
    ...wants.map(({ instruction, name, member }) => [instruction, [name, member].join(" ").trim()]),
  ]);
  let wide = false;
  const lines = readInstructions(program).map((it, index) => {
    // The second half of a 64-bit load has no operation of its own.
    const code = wide ? "0" : operation(it.code);
    wide = !wide && it.code === 0x18;
    const note = noteAt.has(index) ? `  // ${index}: ${noteAt.get(index)}` : "";
    return `    {${code}, ${it.destination}, ${it.source}, ${it.offset}, ${it.immediate}},${note}`;
  });
  const id = program.name.replace(/(?:^|_)([a-z])/g, (_, first) => first.toUpperCase());
  return `inline constexpr bpf_insn k${id}Instructions[] = {
${lines.join("\n")}
};
inline constexpr MapLoad k${id}MapLoads[] = {
${maps.map(({ instruction, map }) => `    {${instruction}, "${map}"},`).join("\n")}
};
${writeWants(id, wants)}inline constexpr ProgramImage k${id}Image = {
    "${program.name}", k${id}Instructions, ${lines.length}, k${id}MapLoads, ${maps.length},
    ${wants.length > 0 ? `k${id}Wants` : "nullptr"}, ${wants.length}};
`;
}

/** C++ has no array of nothing. */
function writeWants(id, wants) {
  if (wants.length === 0) return "";
  const lines = wants.map(
    ({ instruction, kind, name, member }) =>
      `    {${instruction}, KernelWant::${kind}, "${name}", "${member}"},`,
  );
  return `inline constexpr KernelWant k${id}Wants[] = {\n${lines.join("\n")}\n};\n`;
}

const sections = readSections();
const symbols = readSymbols(sections);
const programs = symbols
  .filter(({ type, section }) => type === STT_FUNC && section?.name === "tc")
  .sort((a, b) => a.value - b.value);
const license = sections.find(({ name }) => name === "license") ?? fail("no license section");
process.stdout.write(`// Generated by native/bpf/generate.sh from guard.bpf.c. Do not edit.
// Compiler: ${compiler}
#ifndef FORKNET_BPF_PROGRAMS_GENERATED_H_
#define FORKNET_BPF_PROGRAMS_GENERATED_H_

#include "bpf/insn.h"

// clang-format off
namespace forknet {

inline constexpr char kLicense[] = "${text(license.offset)}";

${programs.map((program) => writeProgram(program, sections, symbols)).join("\n")}
}  // namespace forknet
// clang-format on

#endif  // FORKNET_BPF_PROGRAMS_GENERATED_H_
`);

// N-API around bpf/map.h and bpf/program.h: checks what JavaScript hands in, and turns refusals
// into its errors. Keeps no state. A descriptor is given away only once the object that carries it
// is complete.
#include "addon/bpf.h"

#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>

#include "bpf/map.h"
#include "bpf/program.h"
#include "errno_name.h"
#include "netlink/kernel_error.h"

namespace forknet {
namespace {

// Above any value a map of ours has, on any number of CPUs. What a caller asks for is allocated
// before the map's own length is known.
constexpr uint32_t kValueBytesMax = 1 << 20;

// Runs `body` for its value. TypeError for a wrong argument; an Error with errno, code and syscall,
// as Node's own system errors have them, for a refusal.
template <typename Body>
Napi::Value Guarded(const Napi::CallbackInfo& info, Body body) {
  Napi::Env env = info.Env();
  try {
    return body(env);
  } catch (const std::invalid_argument& wrong) {
    Napi::TypeError::New(env, wrong.what()).ThrowAsJavaScriptException();
  } catch (const KernelError& refusal) {
    Napi::Error error = Napi::Error::New(env, refusal.what());
    Napi::Object fields = error.Value();
    fields.Set("errno", -refusal.error());
    fields.Set("code", ErrnoName(refusal.error()));
    fields.Set("syscall", refusal.syscall());
    error.ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

std::invalid_argument Wrong(const std::string& what, const char* option) {
  return std::invalid_argument("Expected " + what + " for " + option);
}

uint32_t ToUint32(Napi::Value value, const char* option,
                  uint32_t max = std::numeric_limits<uint32_t>::max()) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= max) || std::trunc(number) != number)
    throw Wrong("a whole number from 0 to " + std::to_string(max), option);
  return static_cast<uint32_t>(number);
}

int ToFd(Napi::Value value, const char* option = "fd") {
  return static_cast<int>(ToUint32(value, option, std::numeric_limits<int>::max()));
}

uint32_t ToOptionalUint32(Napi::Value value, const char* option) {
  return value.IsUndefined() ? 0 : ToUint32(value, option);
}

std::string ToText(Napi::Value value, const char* option) {
  if (!value.IsString()) throw Wrong("a string", option);
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object ToObject(Napi::Value value, const char* option) {
  if (!value.IsObject()) throw Wrong("an object", option);
  return value.As<Napi::Object>();
}

// Points into the array: valid until JavaScript runs again, a getter of an option included.
Bytes ToBytes(Napi::Value value, const char* option) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Wrong("a Uint8Array", option);
  Napi::Uint8Array array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

bpf_map_type ToMapType(Napi::Value value) {
  const std::string name = ToText(value, "type");
  if (name == "hash") return BPF_MAP_TYPE_HASH;
  if (name == "array") return BPF_MAP_TYPE_ARRAY;
  if (name == "percpu_array") return BPF_MAP_TYPE_PERCPU_ARRAY;
  throw Wrong("\"hash\", \"array\" or \"percpu_array\"", "type");
}

Napi::Value CreateMapCall(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    Napi::Object options = ToObject(info[0], "options");
    MapSpec spec;
    spec.name = ToText(options.Get("name"), "name");
    spec.type = ToMapType(options.Get("type"));
    spec.key_bytes = ToUint32(options.Get("keySize"), "keySize");
    spec.value_bytes = ToUint32(options.Get("valueSize"), "valueSize");
    spec.max_entries = ToUint32(options.Get("maxEntries"), "maxEntries");
    spec.no_prealloc = options.Get("noPrealloc").ToBoolean();
    UniqueFd fd = CreateMap(spec);
    Napi::Object result = Napi::Object::New(env);
    result.Set("id", DescribeMap(fd.get()).id);
    result.Set("fd", fd.get());
    fd.Release();
    return result;
  });
}

Napi::Value LoadProgramCall(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    const ProgramImage* image = FindProgramImage(ToText(info[0], "program"));
    if (image == nullptr) throw Wrong("\"guard\", \"gate\" or \"classify\"", "program");
    Napi::Object given = ToObject(info[1], "maps");
    Napi::Array names = given.GetPropertyNames();
    std::map<std::string, int> maps;
    for (uint32_t i = 0; i < names.Length(); i++) {
      const std::string name = ToText(names.Get(i), "the name of a map");
      maps[name] = ToFd(given.Get(name), name.c_str());
    }
    UniqueFd fd = LoadProgram(*image, maps);
    const ProgramInfo program = DescribeProgram(fd.get());
    Napi::Object result = Napi::Object::New(env);
    result.Set("id", program.id);
    result.Set("tag", program.tag);
    result.Set("fd", fd.get());
    fd.Release();
    return result;
  });
}

Napi::Value MapGet(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) -> Napi::Value {
    const int fd = ToFd(info[0]);
    const Bytes key = ToBytes(info[1], "key");
    Napi::Buffer<uint8_t> value =
        Napi::Buffer<uint8_t>::New(env, ToUint32(info[2], "valueSize", kValueBytesMax));
    if (!GetMapValue(fd, key, value.Data(), value.ByteLength())) return env.Undefined();
    return value;
  });
}

Napi::Value MapSet(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    SetMapValue(ToFd(info[0]), ToBytes(info[1], "key"), ToBytes(info[2], "value"));
    return env.Undefined();
  });
}

Napi::Value MapDelete(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    return Napi::Boolean::New(env, DeleteMapValue(ToFd(info[0]), ToBytes(info[1], "key")));
  });
}

Napi::Value MapEntries(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    const uint32_t key_bytes = ToUint32(info[1], "keySize", kValueBytesMax);
    const uint32_t value_bytes = ToUint32(info[2], "valueSize", kValueBytesMax);
    const MapContents contents = ListMap(ToFd(info[0]), key_bytes, value_bytes);
    Napi::Array entries = Napi::Array::New(env, contents.count);
    for (size_t i = 0; i < contents.count; i++) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("key", Napi::Buffer<uint8_t>::Copy(env, &contents.keys[i * key_bytes], key_bytes));
      entry.Set("value",
                Napi::Buffer<uint8_t>::Copy(env, &contents.values[i * value_bytes], value_bytes));
      entries.Set(static_cast<uint32_t>(i), entry);
    }
    return entries;
  });
}

Napi::Value ProgramById(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    UniqueFd fd = OpenProgramById(ToUint32(info[0], "id"));
    const ProgramInfo program = DescribeProgram(fd.get());
    Napi::Array map_ids = Napi::Array::New(env, program.map_ids.size());
    for (uint32_t i = 0; i < program.map_ids.size(); i++) map_ids.Set(i, program.map_ids[i]);
    Napi::Object result = Napi::Object::New(env);
    result.Set("tag", program.tag);
    result.Set("name", program.name);
    result.Set("mapIds", map_ids);
    result.Set("fd", fd.get());
    fd.Release();
    return result;
  });
}

Napi::Value MapById(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    UniqueFd fd = OpenMapById(ToUint32(info[0], "id"));
    const MapInfo map = DescribeMap(fd.get());
    Napi::Object result = Napi::Object::New(env);
    result.Set("name", map.name);
    result.Set("type", map.type);
    result.Set("keySize", map.key_bytes);
    result.Set("valueSize", map.value_bytes);
    result.Set("maxEntries", map.max_entries);
    result.Set("fd", fd.get());
    fd.Release();
    return result;
  });
}

Napi::Value PossibleCpusCall(const Napi::CallbackInfo& info) {
  return Guarded(info, [](Napi::Env env) { return Napi::Number::New(env, PossibleCpus()); });
}

Napi::Value TestRun(const Napi::CallbackInfo& info) {
  return Guarded(info, [&](Napi::Env env) {
    TestContext context;
    if (!info[2].IsUndefined()) {
      Napi::Object given = ToObject(info[2], "context");
      context.ifindex = ToOptionalUint32(given.Get("ifindex"), "ifindex");
      context.ingress_ifindex = ToOptionalUint32(given.Get("ingressIfindex"), "ingressIfindex");
    }
    const TestResult run = TestRunProgram(ToFd(info[0]), ToBytes(info[1], "frame"), context);
    Napi::Object result = Napi::Object::New(env);
    result.Set("action", run.action);
    result.Set("frame", Napi::Buffer<uint8_t>::Copy(env, run.frame.data(), run.frame.size()));
    result.Set("tcClassid", run.tc_classid);
    return result;
  });
}

}  // namespace

Napi::Object MakeBpf(Napi::Env env) {
  Napi::Object bpf = Napi::Object::New(env);
  bpf.Set("createMap", Napi::Function::New<CreateMapCall>(env, "createMap"));
  bpf.Set("loadProgram", Napi::Function::New<LoadProgramCall>(env, "loadProgram"));
  bpf.Set("mapGet", Napi::Function::New<MapGet>(env, "mapGet"));
  bpf.Set("mapSet", Napi::Function::New<MapSet>(env, "mapSet"));
  bpf.Set("mapDelete", Napi::Function::New<MapDelete>(env, "mapDelete"));
  bpf.Set("mapEntries", Napi::Function::New<MapEntries>(env, "mapEntries"));
  bpf.Set("programById", Napi::Function::New<ProgramById>(env, "programById"));
  bpf.Set("mapById", Napi::Function::New<MapById>(env, "mapById"));
  bpf.Set("possibleCpus", Napi::Function::New<PossibleCpusCall>(env, "possibleCpus"));
  bpf.Set("testRun", Napi::Function::New<TestRun>(env, "testRun"));
  return bpf;
}

}  // namespace forknet

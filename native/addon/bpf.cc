// N-API around bpf/map.h and bpf/program.h: checks what JavaScript hands in, and turns refusals
// into its errors. A descriptor is given away only once the object that carries it is complete; the
// environment closes it unless JavaScript did.
#include "addon/bpf.h"

#include <limits>
#include <map>
#include <string>
#include <utility>

#include "addon/environment.h"
#include "addon/error.h"
#include "addon/fields.h"
#include "bpf/map.h"
#include "bpf/program.h"

namespace forknet {
namespace {

// Above any value a map of ours has, on any number of CPUs: room is made before the map's own
// length is known.
constexpr uint32_t kValueBytesMax = 1 << 20;
constexpr uint32_t kMaxTestRuns = 1'000'000;

int CheckFd(Napi::Value value, const char* where = "fd") {
  return static_cast<int>(CheckInteger(value, 0, std::numeric_limits<int>::max(), where));
}

uint32_t CheckUint32(Napi::Value value, const char* where,
                     uint32_t most = std::numeric_limits<uint32_t>::max()) {
  return static_cast<uint32_t>(CheckInteger(value, 0, most, where));
}

// Points into the array: valid until JavaScript runs again, a getter of an option included.
Bytes CheckBytes(Napi::Value value, const char* where) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Unexpected("a Uint8Array", where, value);
  }
  Napi::Uint8Array array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

bpf_map_type CheckMapType(Napi::Value value) {
  const std::string name = CheckString(value, "options.type");
  if (name == "hash") return BPF_MAP_TYPE_HASH;
  if (name == "array") return BPF_MAP_TYPE_ARRAY;
  if (name == "percpu_array") return BPF_MAP_TYPE_PERCPU_ARRAY;
  throw Unexpected("hash, array or percpu_array", "options.type", value);
}

Napi::Value CreateMapCall(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const Napi::Object options = CheckObject(info[0], "options");
    const Fields fields(options, "options");
    MapSpec spec;
    spec.name = fields.String("name");
    spec.type = CheckMapType(options.Get("type"));
    spec.key_bytes = fields.Integer<uint32_t>("keySize");
    spec.value_bytes = fields.Integer<uint32_t>("valueSize");
    spec.max_entries = fields.Integer<uint32_t>("maxEntries");
    spec.no_prealloc = fields.MaybeBoolean("noPrealloc").value_or(false);
    UniqueFd fd = CreateMap(spec);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("id", DescribeMap(fd.get()).id);
    result.Set("fd", fd.get());
    Environment::Of(info.Env()).fds.Hold(std::move(fd));
    return result;
  });
}

std::map<std::string, int> CheckMaps(Napi::Value value) {
  const Napi::Object given = CheckObject(value, "maps");
  const Napi::Array names = given.GetPropertyNames();
  std::map<std::string, int> maps;
  for (uint32_t i = 0; i < names.Length(); i++) {
    const std::string name = CheckString(names.Get(i), "maps");
    maps[name] = CheckFd(given.Get(name), ("maps." + name).c_str());
  }
  return maps;
}

Napi::Value LoadProgramCall(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const ProgramImage* image = FindProgramImage(CheckString(info[0], "program"));
    if (image == nullptr) throw Unexpected("guard, gate or classify", "program", info[0]);
    UniqueFd fd = LoadProgram(*image, CheckMaps(info[1]));
    const ProgramInfo program = DescribeProgram(fd.get());
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("id", program.id);
    result.Set("tag", program.tag);
    result.Set("fd", fd.get());
    Environment::Of(info.Env()).fds.Hold(std::move(fd));
    return result;
  });
}

Napi::Value MapGet(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&]() -> Napi::Value {
    const int fd = CheckFd(info[0]);
    const Bytes key = CheckBytes(info[1], "key");
    Napi::Buffer<uint8_t> value =
        Napi::Buffer<uint8_t>::New(info.Env(), CheckUint32(info[2], "valueSize", kValueBytesMax));
    if (!GetMapValue(fd, key, value.Data(), value.ByteLength())) return info.Env().Undefined();
    return value;
  });
}

Napi::Value MapSet(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    SetMapValue(CheckFd(info[0]), CheckBytes(info[1], "key"), CheckBytes(info[2], "value"));
    return info.Env().Undefined();
  });
}

Napi::Value MapDelete(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    return Napi::Boolean::New(info.Env(),
                              DeleteMapValue(CheckFd(info[0]), CheckBytes(info[1], "key")));
  });
}

Napi::Value MapEntries(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const uint32_t key_bytes = CheckUint32(info[1], "keySize", kValueBytesMax);
    const uint32_t value_bytes = CheckUint32(info[2], "valueSize", kValueBytesMax);
    const MapContents contents = ListMap(CheckFd(info[0]), key_bytes, value_bytes);
    Napi::Array entries = Napi::Array::New(info.Env(), contents.count);
    for (size_t i = 0; i < contents.count; i++) {
      const Napi::Object entry = Napi::Object::New(info.Env());
      entry.Set("key",
                Napi::Buffer<uint8_t>::Copy(info.Env(), &contents.keys[i * key_bytes], key_bytes));
      entry.Set("value", Napi::Buffer<uint8_t>::Copy(info.Env(), &contents.values[i * value_bytes],
                                                     value_bytes));
      entries.Set(static_cast<uint32_t>(i), entry);
    }
    return entries;
  });
}

Napi::Value ProgramById(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    UniqueFd fd = OpenProgramById(CheckUint32(info[0], "id"));
    const ProgramInfo program = DescribeProgram(fd.get());
    const Napi::Array map_ids = Napi::Array::New(info.Env(), program.map_ids.size());
    for (uint32_t i = 0; i < program.map_ids.size(); i++) map_ids.Set(i, program.map_ids[i]);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("tag", program.tag);
    result.Set("name", program.name);
    result.Set("mapIds", map_ids);
    result.Set("fd", fd.get());
    Environment::Of(info.Env()).fds.Hold(std::move(fd));
    return result;
  });
}

Napi::Value MapById(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    UniqueFd fd = OpenMapById(CheckUint32(info[0], "id"));
    const MapInfo map = DescribeMap(fd.get());
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("name", map.name);
    result.Set("type", map.type);
    result.Set("keySize", map.key_bytes);
    result.Set("valueSize", map.value_bytes);
    result.Set("maxEntries", map.max_entries);
    result.Set("fd", fd.get());
    Environment::Of(info.Env()).fds.Hold(std::move(fd));
    return result;
  });
}

Napi::Value PossibleCpusCall(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), PossibleCpus()); });
}

Napi::Value TestRun(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    TestContext context;
    if (!info[2].IsUndefined()) {
      const Fields fields(CheckObject(info[2], "context"), "context");
      context.ifindex = fields.MaybeInteger<uint32_t>("ifindex").value_or(0);
      context.ingress_ifindex = fields.MaybeInteger<uint32_t>("ingressIfindex").value_or(0);
      context.repeat = fields.MaybeInteger<uint32_t>("repeat", 1, kMaxTestRuns).value_or(1);
    }
    const TestResult run = TestRunProgram(CheckFd(info[0]), CheckBytes(info[1], "frame"), context);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("action", run.action);
    result.Set("frame",
               Napi::Buffer<uint8_t>::Copy(info.Env(), run.frame.data(), run.frame.size()));
    result.Set("tcClassid", run.tc_classid);
    result.Set("durationNs", run.duration_ns);
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

{
  "targets": [
    {
      "target_name": "forknet",
      "sources": [
        "native/addon/addon.cc",
        "native/addon/bpf.cc",
        "native/addon/convert.cc",
        "native/addon/convert_tc.cc",
        "native/addon/error.cc",
        "native/addon/fields.cc",
        "native/addon/monitor.cc",
        "native/addon/netlink.cc",
        "native/addon/results.cc",
        "native/addon/ruleset_monitor.cc",
        "native/address.cc",
        "native/bpf/kernel_types.cc",
        "native/bpf/map.cc",
        "native/bpf/program.cc",
        "native/change.cc",
        "native/dump_ip.cc",
        "native/dump_link.cc",
        "native/dump_tc.cc",
        "native/errno_name.cc",
        "native/flow.cc",
        "native/generation.cc",
        "native/link.cc",
        "native/link_lookup.cc",
        "native/name.cc",
        "native/neighbor.cc",
        "native/netlink/attributes.cc",
        "native/netlink/kernel_error.cc",
        "native/netlink/listener.cc",
        "native/netlink/message.cc",
        "native/netlink/monitor.cc",
        "native/netlink/ruleset_monitor.cc",
        "native/netlink/socket.cc",
        "native/netns.cc",
        "native/port.cc",
        "native/process_lock.cc",
        "native/psched.cc",
        "native/qdisc.cc",
        "native/request.cc",
        "native/route.cc",
        "native/tap.cc",
        "native/tc_class.cc",
        "native/tc_filter.cc",
        "native/unix_socket.cc",
        "native/wire.cc"
      ],
      "include_dirs": ["native", "<!@(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        # A worker that is terminated inside a call has no JavaScript left to throw into.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++17", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
      # Not left to the compiler's defaults, which differ between distributions. Without -U a distribution's own
      # _FORTIFY_SOURCE is a redefinition.
      "cflags": ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
      "ldflags": ["-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack"]
    }
  ]
}

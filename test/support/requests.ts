// The request that most kernel tests make.

/** A guest with limits of its own both ways. */
export const REQUEST = {
  instanceId: "vm-1",
  instanceName: "alpha",
  download: "100mbit",
  upload: "20mbit",
};

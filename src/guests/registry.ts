// The guests of a network by id and by name. A guest is here from its reservation until its kernel
// objects are gone.

import { ForknetError } from "../errors.js";
import type { Guest } from "./guest.js";

export class Registry {
  readonly #byId = new Map<string, Guest>();
  readonly #byName = new Map<string, Guest>();

  /** Throws ID_EXISTS or NAME_EXISTS; a guest that is being released still counts. */
  check(instanceId: string, instanceName: string): void {
    const same = this.#byId.get(instanceId);
    if (same)
      throw new ForknetError(
        "ERR_FORKNET_ID_EXISTS",
        `instance ${instanceId} exists (${same.state})`,
      );
    const namesake = this.#byName.get(instanceName);
    if (namesake) {
      const text = `the name ${instanceName} belongs to instance ${namesake.id} (${namesake.state})`;
      throw new ForknetError("ERR_FORKNET_NAME_EXISTS", text);
    }
  }

  add(guest: Guest): void {
    this.#byId.set(guest.id, guest);
    this.#byName.set(guest.lease.instanceName, guest);
    guest.isKnown = true;
  }

  remove(guest: Guest): void {
    this.#byId.delete(guest.id);
    this.#byName.delete(guest.lease.instanceName);
    guest.isKnown = false;
  }

  get(instanceId: string): Guest | undefined {
    return this.#byId.get(instanceId);
  }

  /** Throws NOT_FOUND, also for a guest that is on its way out. */
  must(instanceId: string): Guest {
    const guest = this.#byId.get(instanceId);
    if (!guest || guest.releasing)
      throw new ForknetError("ERR_FORKNET_NOT_FOUND", `no allocation ${String(instanceId)}`);
    return guest;
  }

  hasName(name: string): boolean {
    return this.#byName.has(name);
  }

  all(): Guest[] {
    return [...this.#byId.values()];
  }
}

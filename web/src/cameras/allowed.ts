// What a role may do with cameras, so that the page hides what it may not; who may is the service's (console/camera_gate.py).

import type { Role } from "../api/types";

type Deed = "watch" | "snapshot" | "recordings" | "clip" | "set" | "unmask" | "unpark" | "probe";

const WATCHES: readonly Role[] = ["operator", "supervisor", "officer", "approver"];
const KEEPS: readonly Role[] = ["operator", "supervisor", "technician", "admin"];

const ALLOWED: Record<Deed, readonly Role[]> = {
  watch: WATCHES,
  recordings: WATCHES,
  clip: WATCHES,
  snapshot: [...WATCHES, "technician"],
  set: KEEPS,
  unpark: KEEPS,
  probe: KEEPS,
  unmask: ["supervisor"],
};

export function may(role: Role | undefined, deed: Deed): boolean {
  return role !== undefined && ALLOWED[deed].includes(role);
}

/** Those of whom a technician is asked: the service takes no others from him. */
export const INSTALLER_PURPOSES = ["maintenance", "test"] as const;

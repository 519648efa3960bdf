// How many requests wait and how many break-glasses are to be reviewed: told with the beats to who decides on them.

import { signal } from "@preact/signals";

export interface ApprovalCounts {
  waiting: number;
  unreviewed: number;
  overdue: number;
}

const NONE: ApprovalCounts = { waiting: 0, unreviewed: 0, overdue: 0 };
export const approvalCounts = signal<ApprovalCounts>(NONE);

/** From a beat; one without them is to somebody who does not decide. */
export function tookCounts(found: ApprovalCounts | undefined): void {
  const now = found ?? NONE;
  const before = approvalCounts.peek();
  if (now.waiting !== before.waiting || now.unreviewed !== before.unreviewed || now.overdue !== before.overdue) approvalCounts.value = now;
}

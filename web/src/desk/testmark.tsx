// The mark of a press that was announced as an installation's test.

import type { Alarm } from "../api/types";
import { isTest } from "../state/alarms";
import { clockTime, msOf, tick } from "../state/time";
import { t } from "../text";

/** Somebody who installs the device said that he is about to press: shown, quiet, and real unless he owns up to it. */
export function TestMark(props: { alarm: Alarm }) {
  const { alarm } = props;
  if (!alarm.test_until || !isTest(alarm, tick.value)) return null;
  const said = { who: alarm.test_by ?? "", time: clockTime(msOf(alarm.test_until) ?? 0) };
  return (
    <span class="test-mark" title={t("desk.test.title", said)}>
      {t("desk.test", said)}
    </span>
  );
}

/*
 * What does more than ask: backup and regrid write a file (save.h), delete deletes.
 *
 * delete asks twice where it is told --yes: first what would go, which is also where all that can be wrong is said,
 * then for the deletion. Neither answer is believed unless it says itself which of both it was.
 */
#ifndef CTL_TASKS_H
#define CTL_TASKS_H

#include "ctl/ask.h"

/* 0, or an exit code with the problem. */
int ctl_task(struct ctl_session *session);

#endif

/* Exit codes other than EXIT_SUCCESS and EXIT_FAILURE. */
#ifndef TSD_EXIT_CODE_H
#define TSD_EXIT_CODE_H

enum {
    TSD_EX_USAGE = 2,
    TSD_EX_CONFIG = 78 /* of sysexits.h: the configuration or the database must be repaired; a restart does not help */
};

#endif

/* Checks the Host header of a request on TCP, against DNS rebinding: a browser that was lured to a name which resolves
 * to this machine sends that name. */
#ifndef TSD_CONTROL_HOST_H
#define TSD_CONTROL_HOST_H

#include <stdbool.h>

/* host: the header's value, NULL where there is none. True for an address literal, localhost, or a name in `allowed`
 * (separated by spaces or commas), each with or without a port. */
bool tsd_host_allowed(const char *host, const char *allowed);

#endif

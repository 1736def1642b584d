/*
 * What identifies a peer over TCP when requests per peer are limited: an IPv4 address, or the first 64 bits of an IPv6
 * address, because one host usually owns all addresses that share them.
 */
#ifndef TSD_CONTROL_ADDRESS_KEY_H
#define TSD_CONTROL_ADDRESS_KEY_H

#include <stdbool.h>
#include <sys/socket.h>

struct tsd_address_key {
    unsigned char bytes[16];
};

/* All zeros for other address families. */
void tsd_address_key_set(struct tsd_address_key *ret_key, const struct sockaddr *address);
bool tsd_address_key_equal(const struct tsd_address_key *a, const struct tsd_address_key *b);

#endif

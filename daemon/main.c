/* Options, configuration, run, exit code; nothing else. */
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/config/config.h"
#include "daemon/server.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { EX_USAGE_CODE = 2 };

static const char help[] = "Usage: timesliced [--config FILE] [--set SECTION.KEY=VALUE]... [--check-config]\n"
                           "\n"
                           "statsd for Python profiles: takes cProfile statistics as JSON over UDP, TCP and\n"
                           "Unix sockets, sums them by function and time slice into SQLite, and answers\n"
                           "queries on a control socket (timeslicectl).\n"
                           "\n"
                           "  --config FILE             read FILE, not /etc/timesliced/timesliced.conf\n"
                           "  --set SECTION.KEY=VALUE   one setting, over the file's; may be repeated\n"
                           "  --check-config            say what is wrong with the configuration, and exit\n"
                           "  --version                 the version of this program\n"
                           "  --help                    this text\n"
                           "\n"
                           "SIGTERM and SIGINT stop it once what was received is committed; SIGHUP reloads\n"
                           "the configuration. Exit codes: 0 stopped, 1 trouble, 2 wrong usage, 78 a\n"
                           "configuration or a database that must be mended first.\n";

struct options {
    struct tsd_origin origin;
    const char **sets; /* room for one per argument */
    bool check_only;
};

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { CONFIG = 1, SET, CHECK, VERSION, HELP };
    static const struct option longs[] = {
        {"config", required_argument, NULL, CONFIG}, {"set", required_argument, NULL, SET},
        {"check-config", no_argument, NULL, CHECK},  {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},           {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (option) {
        case CONFIG:
            options->origin.file = optarg;
            break;
        case SET:
            options->sets[options->origin.n_sets++] = optarg;
            break;
        case CHECK:
            options->check_only = true;
            break;
        case VERSION:
            puts("timesliced " TSD_VERSION);
            return 0;
        case HELP:
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("Try: timesliced --help\n", stderr);
            return EX_USAGE_CODE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "timesliced: unexpected argument %s\nTry: timesliced --help\n", argv[optind]);
        return EX_USAGE_CODE;
    }
    return -1;
}

static int run(const struct options *options)
{
    struct tsd_config config;
    struct tsd_config_error error;
    const struct tsd_origin *origin = &options->origin;
    int rc = tsd_config_load(origin->file, origin->sets, origin->n_sets, tsd_clock_wall(), &config, &error);
    if (rc) {
        tsd_log_error("%s", error.message);
        return rc == TS_ENOMEM ? EXIT_FAILURE : TSD_EX_CONFIG;
    }
    if (options->check_only)
        printf("the configuration is good (%s)\n", tsd_config_source(origin->file));
    int code = options->check_only ? EXIT_SUCCESS : tsd_server_run(&config, origin);
    tsd_config_deinit(&config);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = {.check_only = false};
    options.sets = calloc((size_t)argc, sizeof(*options.sets));
    if (!options.sets)
        return EXIT_FAILURE;
    options.origin.sets = options.sets;
    int code = parse_options(argc, argv, &options);
    if (code < 0)
        code = run(&options);
    free(options.sets);
    return code;
}

/* Options, configuration, run, exit code. */
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/check_usable.h"
#include "daemon/config/load.h"
#include "daemon/config/show.h"
#include "daemon/exit_code.h"
#include "daemon/server.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "Usage: timesliced [--config FILE] [--set SECTION.KEY=VALUE]... [--check-config]\n"
                           "                  [--show-config]\n"
                           "\n"
                           "statsd for Python profiles: receives cProfile results as JSON over UDP, TCP and\n"
                           "Unix sockets, sums them by function and time slice into SQLite, and answers\n"
                           "queries on a control socket (timeslicectl).\n"
                           "\n"
                           "  --config FILE             read FILE, not /etc/timesliced/timesliced.conf\n"
                           "  --set SECTION.KEY=VALUE   override a setting of the file; can be repeated\n"
                           "  --check-config            report errors in the configuration and exit\n"
                           "  --show-config             print every key with the value in use, and exit\n"
                           "  --version                 print the version and exit\n"
                           "  --help                    print this help and exit\n"
                           "\n"
                           "SIGTERM and SIGINT commit what was received and stop the daemon; SIGHUP reloads\n"
                           "the configuration. Exit codes: 0 stopped, 1 failure that may pass by itself,\n"
                           "2 wrong usage, 78 the configuration, a folder or the database must be repaired.\n";

struct options {
    struct tsd_origin origin;
    const char **sets; /* room for one per argument */
    enum { RUN, CHECK, SHOW } action;
};

/* -1 to continue, else the exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { OPT_CONFIG = 1, OPT_SET, OPT_CHECK, OPT_SHOW, OPT_VERSION, OPT_HELP };
    static const struct option longs[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"set", required_argument, NULL, OPT_SET},
        {"check-config", no_argument, NULL, OPT_CHECK},
        {"show-config", no_argument, NULL, OPT_SHOW},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (option) {
        case OPT_CONFIG:
            options->origin.file = optarg;
            break;
        case OPT_SET:
            options->sets[options->origin.n_sets++] = optarg;
            break;
        case OPT_CHECK:
            options->action = CHECK;
            break;
        case OPT_SHOW:
            options->action = SHOW;
            break;
        case OPT_VERSION:
            puts("timesliced " TSD_VERSION);
            return 0;
        case OPT_HELP:
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("Try: timesliced --help\n", stderr);
            return TSD_EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "timesliced: unexpected argument %s\nTry: timesliced --help\n", argv[optind]);
        return TSD_EX_USAGE;
    }
    return -1;
}

static int show(const struct tsd_config *config)
{
    struct ts_buf text;
    ts_buf_init(&text);
    int code = EXIT_FAILURE;
    if (tsd_config_show(config, &text))
        tsd_log_error("out of memory");
    else if (fwrite(text.data, 1, text.len, stdout) < text.len || fflush(stdout))
        tsd_log_error("cannot write the configuration: %s", strerror(errno));
    else
        code = EXIT_SUCCESS;
    ts_buf_deinit(&text);
    return code;
}

static int run(const struct options *options)
{
    struct tsd_config config;
    struct tsd_config_error error;
    const struct tsd_origin *origin = &options->origin;
    int code = EXIT_SUCCESS;
    tsd_config_check check = options->action == CHECK ? tsd_check_usable : NULL;
    int rc =
        tsd_config_load_checked(origin->file, origin->sets, origin->n_sets, tsd_clock_wall(), check, &config, &error);
    if (rc) {
        tsd_log_error("%s", error.message);
        return rc == TS_ENOMEM ? EXIT_FAILURE : TSD_EX_CONFIG;
    }
    if (options->action == CHECK)
        printf("the configuration is valid (%s)\n", tsd_config_source(origin->file));
    else if (options->action == SHOW)
        code = show(&config);
    else
        code = tsd_server_run(&config, origin);
    tsd_config_deinit(&config);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = {.action = RUN};
    signal(SIGXFSZ, SIG_IGN); /* beyond `ulimit -f` a write fails, as on a full disk */
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

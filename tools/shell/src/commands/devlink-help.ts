/** Help texts of the devlink tool (iproute2 6.1). */

export const HELP = `Usage: devlink [ OPTIONS ] OBJECT { COMMAND | help }
       devlink [ -f[orce] ] -b[atch] filename -N[etns] netnsname
where  OBJECT := { dev | port | lc | sb | monitor | dpipe | resource | region | health | trap }
       OPTIONS := { -V[ersion] | -n[o-nice-names] | -j[son] | -p[retty] | -v[erbose] -s[tatistics] -[he]x }
`;

export const DEV_HELP = `Usage: devlink dev show [ DEV ]
       devlink dev eswitch set DEV [ mode { legacy | switchdev } ]
                               [ inline-mode { none | link | network | transport } ]
                               [ encap-mode { none | basic } ]
       devlink dev eswitch show DEV
       devlink dev param set DEV name PARAMETER value VALUE cmode { permanent | driverinit | runtime }
       devlink dev param show [DEV name PARAMETER]
       devlink dev reload DEV [ netns { PID | NAME | ID } ]
                              [ action { driver_reinit | fw_activate } ] [ limit no_reset ]
       devlink dev info [ DEV ]
       devlink dev flash DEV file PATH [ component NAME ] [ overwrite SECTION ]
       devlink dev selftests show [DEV]
       devlink dev selftests run DEV [id TESTNAME ]
`;

export const PORT_HELP = `Usage: devlink port show [ DEV/PORT_INDEX ]
       devlink port set DEV/PORT_INDEX [ type { eth | ib | auto} ]
       devlink port split DEV/PORT_INDEX count COUNT
       devlink port unsplit DEV/PORT_INDEX
       devlink port function set DEV/PORT_INDEX [ hw_addr ADDR ] [ state { active | inactive } ]
       devlink port function rate { help | show | add | del | set }
       devlink port param set DEV/PORT_INDEX name PARAMETER value VALUE cmode { permanent | driverinit | runtime }
       devlink port param show [DEV/PORT_INDEX name PARAMETER]
       devlink port health show [ DEV/PORT_INDEX reporter REPORTER_NAME ]
       devlink port add DEV/PORT_INDEX flavour FLAVOUR pfnum PFNUM
                      [ sfnum SFNUM ][ controller CNUM ]
       devlink port del DEV/PORT_INDEX
`;

export const FUNCTION_HELP = `Usage: devlink port function set DEV/PORT_INDEX [ hw_addr ADDR ] [ state STATE ]
       devlink port function rate { help | show | add | del | set }
`;

export const ADD_HELP = `       devlink port add DEV/PORT_INDEX flavour FLAVOUR pfnum PFNUM
                      [ sfnum SFNUM ][ controller CNUM ]
`;

export const DEL_HELP = '       devlink port del DEV/PORT_INDEX\n';

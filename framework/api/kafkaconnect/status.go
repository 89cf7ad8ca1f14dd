package kafkaconnect

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
)

// stateOf is what a state is called here.
var stateOf = map[State]string{
	StateRunning: "RUNNING", StatePaused: "PAUSED", StateStopped: "STOPPED",
	StateFailed: "FAILED", StateDisabled: "STOPPED", StateDraft: "UNASSIGNED",
}

// hasTask reports that a connector has its task: one that is stopped has none.
func hasTask(c Connection) bool {
	return c.State == StateRunning || c.State == StatePaused || c.State == StateFailed && !c.Broken
}

type statusView struct {
	Name      string         `json:"name"`
	Connector connectorState `json:"connector"`
	Tasks     []taskState    `json:"tasks"`
	Type      string         `json:"type"`
}

type connectorState struct {
	State  string `json:"state"`
	Worker string `json:"worker_id"`
	Trace  string `json:"trace,omitempty"`
}

type taskState struct {
	ID     int    `json:"id"`
	State  string `json:"state"`
	Worker string `json:"worker_id"`
	Trace  string `json:"trace,omitempty"`
}

// statusOf is what a connector is doing. One that stopped at an event runs, and
// its task has failed, as a task of Kafka Connect does.
func (f *Face) statusOf(c Connection) statusView {
	worker := cmp.Or(c.Node, f.config.Worker)
	v := statusView{Name: exactName(c), Type: c.Type, Tasks: []taskState{}, Connector: connectorState{State: stateOf[c.State], Worker: worker}}
	task := taskState{State: stateOf[c.State], Worker: worker}
	if c.State == StateFailed {
		if c.Broken {
			v.Connector.Trace = c.Trace
		} else {
			v.Connector.State, task.Trace = stateOf[StateRunning], c.Trace
		}
	}
	if hasTask(c) {
		v.Tasks = append(v.Tasks, task)
	}
	return v
}

func (f *Face) status(r *http.Request) (reply, error) {
	c, err := f.find(r, "No status found for connector %s")
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: f.statusOf(c)}, nil
}

// restart tries again what failed. With the parameters for tasks it answers with
// the status, as a plan of what is restarted.
func (f *Face) restart(r *http.Request) (reply, error) {
	flags := map[string]bool{}
	for _, name := range []string{"includeTasks", "onlyFailed"} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		value, err := strconv.ParseBool(text)
		if err != nil {
			return reply{}, errorf(http.StatusBadRequest, "%s must be true or false", name)
		}
		flags[name] = value
	}
	c, err := f.find(r, "Unknown connector: %s")
	if err != nil {
		return reply{}, err
	}
	planned := flags["includeTasks"] || flags["onlyFailed"]
	if !flags["onlyFailed"] || c.State == StateFailed {
		if c.State == StateStopped || c.State == StateDisabled || c.State == StateDraft {
			return reply{}, errorf(http.StatusConflict, "Connector %s is %s; resume it first", exactName(c), stateOf[c.State])
		}
		if err := f.config.Desk.Act(r.Context(), project(r), c.Name, ActionRestart); err != nil {
			return reply{}, err
		}
		if planned {
			v := f.statusOf(c)
			v.Connector.State, v.Connector.Trace = "RESTARTING", ""
			if flags["includeTasks"] {
				for i := range v.Tasks {
					v.Tasks[i].State, v.Tasks[i].Trace = "RESTARTING", ""
				}
			}
			return reply{status: http.StatusAccepted, body: v}, nil
		}
	}
	if planned {
		return reply{status: http.StatusAccepted, body: f.statusOf(c)}, nil
	}
	return reply{status: http.StatusNoContent}, nil
}

func (f *Face) tasks(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	list := []map[string]any{}
	if hasTask(c) {
		config := f.classes.render(c)
		config["task.class"] = c.Connector
		list = append(list, map[string]any{"id": taskID{exactName(c), 0}, "config": config})
	}
	return reply{status: http.StatusOK, body: list}, nil
}

// task finds the connector whose task the path names.
func (f *Face) task(r *http.Request) (Connection, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return Connection{}, err
	}
	n, err := strconv.Atoi(chi.URLParam(r, "task"))
	if err != nil || n < 0 {
		return Connection{}, errorf(http.StatusNotFound, "HTTP 404 Not Found")
	}
	if n != 0 || !hasTask(c) {
		return Connection{}, errorf(http.StatusNotFound, "No status found for task %s-%d", exactName(c), n)
	}
	return c, nil
}

func (f *Face) taskStatus(r *http.Request) (reply, error) {
	c, err := f.task(r)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: f.statusOf(c).Tasks[0]}, nil
}

func (f *Face) restartTask(r *http.Request) (reply, error) {
	c, err := f.task(r)
	if err != nil {
		return reply{}, err
	}
	if err := f.config.Desk.Act(r.Context(), project(r), c.Name, ActionRestart); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}
